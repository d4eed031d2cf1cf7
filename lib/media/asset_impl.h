/* asset_impl: between the files of lib/media that make up an asset. */
#ifndef RV_MEDIA_ASSET_IMPL_H
#define RV_MEDIA_ASSET_IMPL_H

#include <string.h>

#include "media/asset.h"

/* Bytes of packets that may wait for the other stream. */
#define QUEUE_BYTES_MAX (64u << 20)
/* How far video may be read ahead in search of sound. */
#define INTERLEAVE_US INT64_C(5000000)
/* A read that takes longer has failed (not on standard input). */
#define READ_TIMEOUT_US INT64_C(15000000)
#define READ_ERRORS_MAX 100
/* Steps in decoding times that are a discontinuity (ffmpeg's own limits). */
#define JUMP_AHEAD_US INT64_C(10000000)
#define JUMP_BACK_US  INT64_C(100000)
/* So close to each other, video's and sound's jumps are the same one. */
#define JUMP_SAME_US INT64_C(1000000)

/* Of this container, by libav's name of it. */
static inline bool asset_is_of(const struct asset *asset, const char *name)
{
    return strcmp(asset->format->iformat->name, name) == 0;
}

/* asset_io.c */

bool asset_is_stopping(const struct asset *asset);
/* Stopped, or the deadline is over; for libav, with the asset. */
int asset_is_interrupted(void *opaque);
/* Does libav's own reader not do? */
bool asset_io_is_own(const struct asset *asset);
int asset_io_open(struct asset *asset, struct err *err);
void asset_io_close(struct asset *asset);

/* asset_read.c */

int queue_init(struct packet_queue *queue);
void queue_clear(struct packet_queue *queue); /* keeps it usable */
void queue_free(struct packet_queue *queue);
/* Takes over the content of `packet`; false: no memory. */
bool queue_push(struct packet_queue *queue, AVPacket *packet);
/* The oldest into `packet`; false: there is none. */
bool queue_take(struct packet_queue *queue, AVPacket *packet);
/* The oldest packet (gives), or NULL. */
AVPacket *queue_pop(struct packet_queue *queue);

/*
 * The next packet of video (else audio) into asset->packet: 1; 0: there is
 * none any more, or for audio: none near enough.
 */
int asset_read_video(struct asset *asset);
/* The same, but it stays where it is (lends, until the next read); NULL. */
const AVPacket *asset_peek_video(struct asset *asset);
int asset_read_audio(struct asset *asset, int64_t wanted_us);
void asset_begin_read(struct asset *asset);

/* One damaged packet or picture more, at `ticks` of `base` in the container's
 * time; AV_NOPTS_VALUE (no packet): where the one before was. */
void asset_note_damage(struct asset *asset, int64_t ticks, AVRational base);
void asset_note_packet(struct asset *asset, const AVPacket *packet);

/* asset_time.c */

/* A packet of video (0) or sound (1) into its queue, when its time is sure;
 * takes its content. */
void asset_place(struct asset *asset, AVPacket *packet, int kind);
/* Nothing follows: what is still in doubt as well. */
void asset_place_rest(struct asset *asset);
void asset_forget_doubt(struct asset *asset);

/* asset_read.c again */

/* Forgets all packets, e.g. after a seek. */
void asset_forget_packets(struct asset *asset);

/* asset_choose.c */

/* Which streams are played; -1: there is none of them. */
void asset_choose(struct asset *asset, const struct asset_config *config);

/* asset_follow.c; `kind` is 0 for video, 1 for sound */

/* Whose successor stream `index` may be: 0 video, 1 audio, -1 neither. */
int follow_kind(const struct asset *asset, int index);
/* The streams are chosen: nothing is read of those that have no part in it. */
void follow_choose(struct asset *asset);
/* Forgets what is held back. */
void follow_reset(struct asset *asset);
/* A packet of the chosen stream has come. */
void follow_own(struct asset *asset, int kind);
/* One of another stream has: gives the kind of which the held stream takes
 * over, else -1. */
int follow_other(struct asset *asset, AVPacket *packet);
/* It is the chosen one from now on; its packets are in held[kind]. */
void follow_take_over(struct asset *asset, int kind);

/* asset_pieces.c */

/* Looks, once, whether timestamps begin anew; the place is lost (seek). */
int asset_find_pieces(struct asset *asset, struct err *err);
void asset_forget_pieces(struct asset *asset);
/*
 * With more than one piece: the container to a packet before `us` of the one
 * line of times, or not far behind; what is read from there has these offsets.
 */
bool asset_jump_in_pieces(struct asset *asset, int64_t us,
                          int64_t offset_us[2]);

/* asset_joined.c */

/* Several Ogg or Matroska files in one of `size` bytes; the place is lost. */
bool asset_is_joined(struct asset *asset, int64_t size);

/* asset_seek.c */

/* Back to the first picture, whatever it takes. */
int asset_rewind(struct asset *asset, int64_t position, struct err *err);

/* asset_video.c */

/* Decodes the next picture into asset->next: 1, 0 at the end, -1 stopped. */
int asset_decode_next(struct asset *asset);
/* The one that is the asset's first. */
int asset_decode_first(struct asset *asset);
void asset_video_reset(struct asset *asset);
/* Pixel aspect and turn of a picture of the video stream. */
void asset_shape(struct asset *asset, AVFrame *frame,
                 struct asset_picture *picture);
/* Is a picture with this timestamp on screen by then? */
bool asset_is_due(const struct asset *asset, int64_t pts,
                  const struct moment *moment);

/* asset_sound.c */

/* Samples that go into the limiter at once. */
#define SOUND_CHUNK 4096

/* Where sound must begin for that of `position` to be right. */
int64_t asset_sound_from(const struct asset *asset, int64_t position);

/* Decodes sound until there is some up to `end`, or none is near. */
void asset_fill_sound(struct asset *asset, int64_t end);

/* asset_open.c */

/* libav's code, AVERROR(ETIMEDOUT) where it was our deadline. */
int asset_reason(const struct asset *asset, int code);

/* Is a packet of another codec than this decoder's? */
bool asset_is_other(const AVCodecContext *decoder, const AVPacket *packet);
/* A decoder for the codec of this packet in the place of the present one. */
int asset_change_decoder(struct asset *asset, const AVPacket *packet);

/* Everything anew, with the streams that were chosen; time 0 stays. */
int asset_reopen(struct asset *asset, struct err *err);

#endif
