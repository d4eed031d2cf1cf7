/*
 * pool: shared memory with the pictures and sound of one rv-decode.
 *
 *   header | records[R] | audio slots[R] | picture slots[P]
 *
 * One producer (the decoder) makes frames ready in the order in which they are
 * shown; one consumer (the stage) releases them in the same order, so one
 * number a side says it all.  Frame `seq` (0, 1, 2 ...) has record seq % R and
 * audio slot seq % R, and names its picture slot: a repeated picture is a
 * second record that names the same slot.  A picture slot is free again when
 * the last frame that names it is released and the decoder holds no reference
 * to it either; that is private to the producer.
 *
 * Any number of others may map a pool read-only (the renderer reads the frames
 * that the stage ring names, rv-tap looks).
 *
 *   pool          written by  order          read by    order
 *   ready         decoder     seq_cst*       others     seq_cst*
 *   released      stage       seq_cst*       decoder    seq_cst*
 *   end_index     decoder     relaxed        others     relaxed (after status)
 *   status        decoder     seq_cst*       others     acquire
 *   ready_bell    both        seq_cst        both       seq_cst
 *   free_bell     both        seq_cst        both       seq_cst
 *   magic         decoder     release, last  others     acquire, first
 *   records, slots: plain, before `ready`, after acquire of `ready`
 *   * seq_cst next to a bell, or a wake-up is lost
 */
#ifndef RV_FRAME_POOL_H
#define RV_FRAME_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "frame/shm.h"

#define POOL_LAYOUT_VERSION 1
#define POOL_RECORDS        256 /* R, a power of two */
#define POOL_SLOTS_MAX      512
#define POOL_SEGMENT_SIZE   128  /* NUL included */
#define POOL_ASSET_SIZE     1024 /* NUL included */
#define POOL_CAPTIONS_SIZE  128

enum pool_status {
    POOL_OPENING = 0, /* nothing ready yet */
    POOL_RUNNING,     /* frames come */
    POOL_ENDED,       /* end_index is final, nothing follows */
    POOL_FAILED       /* as ENDED, and pool_failure() says why */
};

enum frame_flag {
    FRAME_REPEATED = 1u << 0,  /* picture is the one before */
    FRAME_SILENT = 1u << 1,    /* no sound in the source here */
    FRAME_HELD = 1u << 2,      /* asset ended early: last picture held */
    FRAME_BLACK = 1u << 3,     /* black made by us (pad) */
    FRAME_CONCEALED = 1u << 4, /* damaged, concealed by the decoder */
    FRAME_SLATE = 1u << 5      /* part of a slate pool */
};

/* One frame: its timing, its provenance, where its picture lies. */
struct pool_frame {
    int64_t index;         /* on the pool's timeline; rises, may skip */
    int64_t segment_first; /* index of its segment's first frame */
    int64_t asset_frame;   /* house frames since the asset's first picture */
    int64_t source_pts_us; /* of the picture in the asset; AV_NOPTS_VALUE */
    int64_t source_dts_us;
    uint32_t picture;         /* picture slot */
    uint32_t plane_offset[3]; /* bytes from the slot's start */
    uint32_t stride_bytes[3];
    uint32_t flags;         /* enum frame_flag */
    int32_t samples;        /* in the audio slot: house_pool_samples(index) */
    uint32_t captions_size; /* A53 cc_data, 3 bytes each */
    uint8_t captions[POOL_CAPTIONS_SIZE];
    char segment[POOL_SEGMENT_SIZE]; /* id from the plan */
    char asset[POOL_ASSET_SIZE];     /* path or URL */
};

struct pool_config {
    struct house house;
    uint32_t slots; /* picture slots, 1 .. POOL_SLOTS_MAX */
    /* Bytes of a picture slot; 0: a house picture with 64-byte strides.  A
     * decoder that writes padded pictures into slots asks for more. */
    uint32_t picture_bytes;
    /* Of shm_reserve(), taken instead of a new file; NULL or SHM_EMPTY: none.
     */
    struct shm *reserved;
};

struct pool_header; /* pool_impl.h */
struct pool_slots;  /* producer's private book of slots */

struct pool {
    struct shm shm;
    struct pool_header *head; /* NULL: closed */
    struct pool_slots *slots; /* producer only */
    struct house house;       /* checked copies of the header's */
    uint32_t slot_count;
    uint32_t picture_bytes;
    uint32_t audio_bytes;
    uint64_t next; /* producer: seq of the next frame */
};

/* clang-format off */
#define POOL_EMPTY ((struct pool){ .shm = SHM_EMPTY, .head = NULL })
/* clang-format on */

/* --- both sides ----------------------------------------------------------- */

/*
 * pool_open checks magic, version, sizes and house before anything else is
 * believed; ERR_UNREACHABLE: nothing there, or not made yet; ERR_INPUT: no
 * pool of ours.
 * `is_consumer` maps it writable (the stage).  pool_close never unlinks.
 */
int pool_open(struct pool *pool, const char *path, bool is_consumer,
              struct err *err);
void pool_close(struct pool *pool);

/* Is the decoder that writes this pool alive? */
bool pool_has_producer(const struct pool *pool);

enum pool_status pool_status(const struct pool *pool);

/* One past the last index, once ENDED or FAILED; else INT64_MAX. */
int64_t pool_end_index(const struct pool *pool);

/* The sentence and kind of a FAILED pool. */
void pool_failure(const struct pool *pool, struct err *err);

uint64_t pool_ready(const struct pool *pool);    /* frames made ready */
uint64_t pool_released(const struct pool *pool); /* frames released */

/*
 * A checked copy of frame `seq`: offsets and strides inside the slot, sample
 * count inside the audio slot, strings ended.  -1 (ERR_INPUT) when a rule is
 * broken or seq is not in [released, ready).  Who is neither the stage nor
 * reads a frame that the stage ring names must ask pool_released() again
 * afterwards (behind a fence): the frame may have been given back while it was
 * copied.
 */
int pool_read(const struct pool *pool, uint64_t seq, struct pool_frame *frame,
              struct err *err);

/* Memory of a picture slot; sound of frame `seq` (interleaved, house). */
uint8_t *pool_picture(const struct pool *pool, uint32_t slot);
int16_t *pool_audio(const struct pool *pool, uint64_t seq);

/* --- producer (one thread, but for what says otherwise) ------------------- */

int pool_create(struct pool *pool, const char *path,
                const struct pool_config *config, struct err *err);

/*
 * A free slot for the decoder or scaler to write into, or -1.  The caller
 * holds it until pool_slot_drop(); publishing a frame that names it takes
 * nothing over.  Both are safe from any thread of the producer.
 */
int pool_slot_take(struct pool *pool);
void pool_slot_drop(struct pool *pool, int slot);

/* True when `slots` picture slots and one record are free. */
bool pool_has_room(struct pool *pool, uint32_t slots);

/* Sleeps until that is so, a signal comes, or timeout_us; gives the answer. */
bool pool_wait_room(struct pool *pool, uint32_t slots, int64_t timeout_us);

/*
 * The record to fill in for the next frame (zeroed; strings are ""); NULL when
 * all records are in use.  Its sound goes to pool_audio(pool, pool->next).
 * pool_publish makes it ready.
 */
struct pool_frame *pool_begin(struct pool *pool);
void pool_publish(struct pool *pool);

/* No more frames.  `err` NULL: ENDED; else FAILED with its sentence. */
void pool_end(struct pool *pool, int64_t end_index, const struct err *err);

/* --- consumer ------------------------------------------------------------- */

/* Frames below `seq` are no longer needed by stage and renderer. */
void pool_release(struct pool *pool, uint64_t seq);

/* For waiting on several pools at once; see futex_wait_any(). */
struct bell *pool_ready_bell(struct pool *pool);

#endif
