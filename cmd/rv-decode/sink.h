/*
 * sink: where frames go: a pool in shared memory, or NUT on standard output.
 *
 * Pictures are drawn into a place of the sink (a pool slot), or lie in a slot
 * already because the decoder wrote them there; a repeated picture names the
 * same place again.
 */
#ifndef RV_DECODE_SINK_H
#define RV_DECODE_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "frame/pool.h"
#include "media/asset.h"
#include "media/picture.h"
#include "media/nut.h"

struct sink {
    struct house house;
    bool is_open, is_nut, has_failed;
    bool is_slate;       /* a slate's pool: all of it is kept (slate.h) */
    bool has_tone;       /* slate: it shall have one, for want of sound */
    struct shm reserved; /* the pool's file before it is made, in a sandbox */
    struct pool pool;
    struct nut *nut;
    uint8_t *memory; /* NUT: the picture */
    int16_t *sound;  /* NUT: the sound */
    bool (*is_stopping)(void);
    bool ends_with_reader; /* in a shell: nobody reads stdout, so stop */
    int64_t next_index;    /* behind the last frame or gap */
    int64_t waited_us;     /* in all */
    uint64_t frames;
};

/* clang-format off */
#define SINK_EMPTY ((struct sink){ .reserved = SHM_EMPTY, .pool = POOL_EMPTY })
/* clang-format on */

/* A picture on show. */
struct place {
    int slot; /* held by us, or -1 */
    bool is_set;
    struct planes planes;
};

/* clang-format off */
#define PLACE_EMPTY ((struct place){ .slot = -1 })
/* clang-format on */

/* A pool that suits `asset` (NULL: none) and a segment of `frames` (-1: any).
 * `slots` 0: as many as needed. */
int sink_open_pool(struct sink *sink, const char *path,
                   const struct house *house, struct asset *asset,
                   int64_t frames, uint32_t slots, struct err *err);
int sink_open_nut(struct sink *sink, const struct house *house,
                  struct err *err);

/* A slate's pool, of `frames` at the most; it has no name before sink_end(). */
int sink_open_slate(struct sink *sink, const char *path,
                    const struct house *house, int frames, struct err *err);

/* Ends the pool (`why` NULL: all went well) or the NUT stream; a slate's is
 * seen from now on. */
int sink_end(struct sink *sink, const struct err *why, struct err *err);
void sink_close(struct sink *sink);

/* In a shell: nobody reads our inputs line any more, or ever will. */
bool sink_is_alone(const struct sink *sink);

/* Waits until `slots` picture slots and a record are free: 0; -1: stop. */
int sink_wait(struct sink *sink, uint32_t slots);

/* Memory for a picture, waiting when there is none: 0; -1: stop. */
int sink_place(struct sink *sink, struct place *place);
void sink_drop(struct sink *sink, struct place *place);

/* Where the next frame's sound goes (house_pool_samples() of it). */
int16_t *sink_sound(struct sink *sink);

/* Publishes a frame: `frame` says everything but where the picture lies. */
int sink_emit(struct sink *sink, const struct pool_frame *frame,
              const struct place *place, struct err *err);

#endif
