/*
 * TS ring: the newest seconds of a channel's multiplexed stream, written by
 * one rv-render, read by anybody.
 *
 *   header | index entries[K] | data (a multiple of 188 bytes)
 *
 * The stream is a sequence of bytes, offset 0 at the channel's first packet;
 * byte b lies at data[b % data_size].  It is published in *stretches* [n1,n2)
 * closed in display order: bytes, then index entry, then one release store of
 * the entry count.  What a dead writer left behind the last entry is rubbish
 * that the next one overwrites.  A new writer goes on from the last entry: its
 * n_end is the first frame that is not out yet, its vbv_bits the VBV's fill,
 * and the continuity counters are read back from the last packets of each PID.
 *
 * A reader looks at `count`, copies entries, checks that they were not
 * overwritten meanwhile, and must stay away from bytes below
 * `reserved - data_size`.
 *
 *   ring        written by  order          read by    order
 *   reserved    renderer    seq_cst, before data      acquire, after data
 *   entries     renderer    release, before count     acquire, before and
 *                                                     after a look at count
 *   count       renderer    release        readers    acquire
 *   is_closed   director    release        readers    acquire
 *   magic       creator     release, last  openers    acquire, first
 */
#ifndef RV_FRAME_TS_RING_H
#define RV_FRAME_TS_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "frame/shm.h"

#define TS_RING_LAYOUT_VERSION 1
#define TS_RING_ENTRIES        8192
#define TS_RING_DEFAULT_BYTES  (UINT64_C(188) * 65536)

struct ts_stretch {
    uint64_t start;    /* stream offset of the first byte */
    uint64_t end;      /* one past the last */
    int64_t n_first;   /* first frame in it */
    int64_t n_end;     /* one past the last: the first that is not out */
    int64_t due_us;    /* UTC: when it is released */
    uint32_t is_key;   /* starts with PAT, PMT and a keyframe */
    uint32_t vbv_bits; /* fill of the VBV after it */
};

struct ts_ring_header;

struct ts_ring {
    struct shm shm;
    struct ts_ring_header *head; /* NULL: closed */
    uint8_t *data;
    uint64_t data_size;
    struct house house;
};

/* clang-format off */
#define TS_RING_EMPTY ((struct ts_ring){ .shm = SHM_EMPTY, .head = NULL })
/* clang-format on */

enum ts_ring_result {
    TS_RING_OK,
    TS_RING_NONE, /* not published yet */
    TS_RING_GONE  /* overwritten: the reader is too far behind */
};

/* --- writer --------------------------------------------------------------- */

/* data_size: a multiple of 188, 188 KiB .. 1 GiB.  Locked by its writer. */
int ts_ring_create(struct ts_ring *ring, const char *path,
                   const struct house *house, uint64_t data_size,
                   struct err *err);
/* Goes on with an existing one; ERR_STATE when its writer lives. */
int ts_ring_own(struct ts_ring *ring, const char *path, struct err *err);
/*
 * The bytes of one stretch (a multiple of 188, at most half the ring), then
 * its entry, whose `start` and `end` are filled in here.
 */
int ts_ring_publish(struct ts_ring *ring, const uint8_t *bytes, uint64_t size,
                    struct ts_stretch *stretch, struct err *err);
/* The stream is over; any process that opened it writable (the director). */
void ts_ring_close_stream(struct ts_ring *ring);

/* --- readers -------------------------------------------------------------- */

int ts_ring_open(struct ts_ring *ring, const char *path, bool is_writable,
                 struct err *err);
void ts_ring_close(struct ts_ring *ring);
bool ts_ring_is_closed(const struct ts_ring *ring);
bool ts_ring_has_writer(const struct ts_ring *ring);
uint64_t ts_ring_count(const struct ts_ring *ring); /* entries published */
/* A checked copy of entry i (0 is the channel's first). */
enum ts_ring_result ts_ring_entry(const struct ts_ring *ring, uint64_t i,
                                  struct ts_stretch *stretch);
/* Newest entry that is a keyframe and due at or before utc_us. */
enum ts_ring_result ts_ring_newest_key(const struct ts_ring *ring,
                                       int64_t utc_us, uint64_t *i);
/* True while the bytes from `offset` on are intact (ask after copying). */
bool ts_ring_is_intact(const struct ts_ring *ring, uint64_t offset);
/* Memory of `offset`; *run: how many bytes up to `end` are contiguous. */
const uint8_t *ts_ring_bytes(const struct ts_ring *ring, uint64_t offset,
                             uint64_t end, uint64_t *run);

#endif
