/*
 * asset: one media file (or URL, or standard input), opened, and the picture
 * and sound of any moment of it.
 *
 * Time 0 is the presentation of the first picture that a decoder gives from
 * the start (without video: the first sample of sound).  The picture on screen
 * at a moment is the one with the greatest timestamp that is not later (what
 * containers lose by rounding is restored, see moment_grid()).  After a seek it
 * is checked that the decoder came out at or before the moment; where not, the
 * seek is done again from earlier, at last from the start, so a wrong index
 * costs time but never the wrong picture.
 *
 *   packets -> video queue -> decoder -> next -> now
 *           -> audio queue -> decoder -> resampler -> sound (by position)
 *
 * Packets of the stream that is not wanted wait in its queue, bounded in bytes.
 *
 * An asset may be handed from thread to thread, used by one at a time.
 */
#ifndef RV_MEDIA_ASSET_H
#define RV_MEDIA_ASSET_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/fifo.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "media/buffers.h"
#include "media/fields.h"
#include "media/limiter.h"
#include "media/moment.h"
#include "media/sound.h"
#include "plan/segment.h"

struct asset_config {
    const char *path; /* a file, a pipe, a URL; "-": standard input */
    struct house house;
    int languages; /* preferred for sound, best first */
    const char (*language)[16];
    int threads;               /* of the video decoder; 0: by its size */
    bool (*is_stopping)(void); /* asked often; may be NULL */
};

struct asset_picture {
    AVFrame *frame; /* lent, valid until the next call; buf[0] NULL: none */
    int64_t number; /* counts pictures; changes when the picture does */
    int field;      /* on screen, of an interlaced one: 0 or 1, in time */
    int64_t pts;    /* ticks of the video stream, in one line */
    int64_t due;    /* when it is shown: pts, but for 2:3 pulldown */
    int repeats;    /* fields that its flags repeat */
    struct fields fields;
    int64_t grid;     /* place on the asset's steady rate, -1: none */
    int64_t duration; /* ticks, at least 1 */
    bool is_guess;    /* the container does not say the duration */
    int64_t work_us;  /* asset_work_us() when its packet was read */
    AVRational sar;
    uint32_t turn; /* enum picture_turn */
    uint32_t captions_size;
    uint8_t captions[POOL_CAPTIONS_SIZE];
};

/* Damage that was found and not yet asked for (asset_damage()). */
struct asset_damage {
    uint64_t count;         /* packets and pictures; 0: none */
    int64_t from_us, to_us; /* of the asset, since time 0 */
};

struct packet_queue {
    AVFifo *packets; /* AVPacket * */
    size_t bytes;
};

/* Packets of video or audio whose time is in doubt, see asset_time.c. */
struct doubt {
    struct packet_queue held;
    bool is_open;
    bool is_back;              /* time went back, not ahead */
    int64_t first_us, last_us; /* decoding times of the first and last one */
    int64_t others;            /* packets of the other stream since */
};

/* Streams that may take over from the chosen ones, see asset_follow.c; video,
 * audio. */
struct follow {
    int opened[2];               /* what was chosen first */
    int programme;               /* their number */
    int other[2];                /* whose packets are held back; -1: none */
    int64_t since_us[2];         /* decoding time of the first of them */
    struct packet_queue held[2]; /* they */
    uint64_t refused;            /* bit by stream index */
};

/* A stretch of the file in which timestamps go on, see asset_pieces.c. */
#define PIECES_MAX 64

struct piece {
    int64_t pos;          /* byte from which on all streams are in it */
    int64_t end;          /* byte from which on another one may have begun */
    int64_t from_us;      /* decoding time at `pos`, in one line */
    int64_t offset_us[2]; /* asset.offset_us in it */
};

struct pieces {
    bool is_known;  /* it was looked for them */
    bool is_joined; /* there are some, but not to be found */
    int count;      /* 0: the file is one piece */
    struct piece *piece;
};

struct asset {
    char path[SEGMENT_ASSET_SIZE];
    struct house house;
    bool (*is_stopping)(void);
    int64_t deadline_us; /* of the running read; 0: none */
    int threads;
    bool has_timeout;
    bool is_broken; /* reading failed for another reason than the end */
    bool is_seekable;
    struct err why_broken;

    AVFormatContext *format;
    AVIOContext *own_io; /* standard input, a named pipe */
    int own_fd;          /* what it reads, or -1 */
    int video, audio;    /* stream indexes, -1: none */
    AVCodecContext *video_decoder, *audio_decoder;
    struct packet_queue video_queue, audio_queue;
    struct follow follow;
    struct pieces pieces;
    struct doubt doubt[2];
    AVPacket *packet;
    AVPacket *changed; /* first of another codec, while the decoder drains */
    AVFrame *audio_frame;
    bool is_at_end;       /* of the container */
    int read_errors;      /* in a row */
    int64_t newest_us;    /* newest video packet read, for interleaving */
    int64_t next_dts[2];  /* video, audio: where the next packet is expected */
    int64_t offset_us[2]; /* theirs, behind discontinuities */
    int64_t last_pos[2];  /* where theirs lay in the file; -1: not known */
    bool is_stale[2];     /* theirs come from earlier, see is_left_over() */
    bool has_key;         /* read one of video since the last seek */
    bool has_settled;     /* its times are right, see asset_time.c */
    int64_t lost[2];      /* ticks of their packets that damage swallowed */

    struct buffers buffers;
    /* Called before a packet goes into the video decoder; -1: stop. */
    int (*wait_room)(void *opaque);
    void *wait_opaque;
    int64_t waited_us; /* time spent there, not work */
    int64_t packet_work_us;

    struct asset_picture now, next;
    AVFrame *former; /* what was before `now` where that is interlaced */
    struct fields_eye eye;
    int64_t pictures;
    bool has_next, is_video_end, is_draining, is_changing;
    bool has_shown; /* a picture since the last seek */
    int drain_errors;
    bool skips_damaged;   /* after a seek: wait for a whole picture */
    int damaged_left;     /* at the start: leave out at most so many */
    int64_t hurry_until;  /* packets before need only their references */
    int64_t hurried_past; /* latest timestamp that may have been left out */
    AVRational base;      /* of the timeline: video's, else 1/sample rate */
    AVRational rate;      /* asset's own; 0/1: unknown */
    AVRational grid_rate; /* timestamps lie on its grid; rate, if steady */
    int64_t lag;          /* pictures come so late, see note_lag() */
    int64_t first_dts;    /* of the first packet, where that has no pts */
    bool is_fed;          /* with the first packet */
    bool has_first;
    int64_t first_pts; /* time 0 */
    AVFrame *still;    /* attached picture of a sound-only asset, or NULL */
    struct asset_damage damage;
    int64_t damage_us; /* where the last was */
    int peak_nits;     /* that the first picture tells; 0: none */

    struct sound sound;
    struct limiter limiter;
    float *sound_in;       /* what goes into it at once */
    int64_t sound_next;    /* position that it gives next, if it goes on */
    int16_t sound_last[8]; /* what it gave before that */
    double sound_gain;     /* that it has */
    bool is_sound_running; /* it can go on */
    bool is_audio_end;
};

/* Opens, chooses streams, decodes the first picture.  The sentence names the
 * asset.  gives. */
struct asset *asset_open(const struct asset_config *config, struct err *err);
void asset_free(struct asset *asset);

/* Monotonic time without the waits for room. */
int64_t asset_work_us(const struct asset *asset);

/* Makes a moment reachable; cheap when it lies just ahead. */
int asset_seek(struct asset *asset, const struct moment *moment,
               struct err *err);

enum asset_result {
    ASSET_STOPPED = -1, /* asked to stop while waiting */
    ASSET_OVER = 0,     /* the moment is at or behind the asset's end; `now` is
                           its last picture */
    ASSET_SHOWN = 1     /* `now` is the picture on screen */
};

/* Goes forward to a moment (never back, but by asset_seek()). */
enum asset_result asset_show(struct asset *asset, const struct moment *moment);

/* With what the field on screen is one picture. */
enum field_partner asset_partner(const struct asset *asset);

/* Where the last picture ends, behind time 0; false as long as it is not known
 * (asset_show() has not met it). */
bool asset_end(const struct asset *asset, int64_t *ticks, AVRational *base);

/*
 * House frames from `in` to the end of the last picture, rounded halves up;
 * -1 as long as the end is not known (asset_show() has not met it).
 */
int64_t asset_frames(const struct asset *asset, struct rational in);

/*
 * House frames that playing it from its start gives: as many, and one more
 * where the last picture begins and ends between two frames.
 */
int64_t asset_played(const struct asset *asset);

/* As asset_frames(), looked up by going to the end; the place is lost (seek
 * again). */
int64_t asset_measure(struct asset *asset, struct rational in, struct err *err);

/* What is damaged in what was read since it was last asked; may lie ahead of
 * the moment that is shown, since reading does. */
struct asset_damage asset_damage(struct asset *asset);

/*
 * `count` samples from `position` (house samples since
 * time 0) into `out`, silence where there are none, by a gain and through the
 * limiter; gives how many were real.  They depend on nothing but the position
 * and the gain.
 */
int asset_sound(struct asset *asset, int64_t position, int count, double gain,
                int16_t *out);

#endif
