/*
 * ts_ring: publish a stretch, read it, know when it was overwritten.
 *
 * The order of a publication is the whole point: `reserved` is raised before
 * the first byte is written, so that a reader who copied bytes from an offset
 * and then finds it not below `reserved - data_size` knows that they are whole;
 * bytes, then the entry, then `count`.  Dying between any two of these
 * leaves a ring whose last entry is true and complete.  If `count` came before
 * the bytes, a viewer would get rubbish; if `reserved` came after them, a slow
 * viewer would.
 */
#include "frame/ts_ring.h"

#include <stdatomic.h>
#include <string.h>

#include "frame/ts_ring_impl.h"

/*
 * Between `reserved` and plain bytes no atomic stands that could order them.
 * x86 keeps loads in order, and stores, so the compiler is all that must be
 * told; elsewhere it takes a fence (which ThreadSanitizer does not know).
 */
static void order_bytes(void)
{
#if defined(__x86_64__) || defined(__SANITIZE_THREAD__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_acq_rel);
#endif
}

static uint64_t file_size(uint64_t data_size)
{
    return sizeof(struct ts_ring_header) + data_size;
}

static void attach(struct ts_ring *ring)
{
    ring->head = (struct ts_ring_header *)(void *)ring->shm.map;
    ring->data = ring->shm.map + sizeof(struct ts_ring_header);
    ring->data_size = ring->head->data_size;
    ring->house = ring->head->house;
}

/* --- writer --------------------------------------------------------------- */

int ts_ring_create(struct ts_ring *ring, const char *path,
                   const struct house *house, uint64_t data_size,
                   struct err *err)
{
    *ring = TS_RING_EMPTY;
    if (data_size < TS_RING_SIZE_MIN || data_size > TS_RING_SIZE_MAX ||
        data_size % TS_PACKET_BYTES != 0) {
        return err_set(err, ERR_INPUT,
                       "TS ring %s: %llu bytes of data; give a multiple of 188 "
                       "from %llu to %llu",
                       path, (unsigned long long)data_size,
                       (unsigned long long)TS_RING_SIZE_MIN,
                       (unsigned long long)TS_RING_SIZE_MAX);
    }
    if (house_check(house, err) < 0)
        return err_prefix(err, "TS ring %s", path);
    if (shm_create(&ring->shm, path, file_size(data_size), err) < 0)
        return -1;
    struct ts_ring_header *head = (void *)ring->shm.map;
    head->layout_version = TS_RING_LAYOUT_VERSION;
    head->entries = TS_RING_ENTRIES;
    head->data_size = data_size;
    head->house = *house;
    attach(ring);
    atomic_store_explicit(&head->magic, TS_RING_MAGIC, memory_order_release);
    if (shm_lock(&ring->shm, err) < 0 || shm_publish(&ring->shm, err) < 0) {
        ts_ring_close(ring);
        return -1;
    }
    return 0;
}

int ts_ring_own(struct ts_ring *ring, const char *path, struct err *err)
{
    if (ts_ring_open(ring, path, true, err) < 0)
        return -1;
    if (shm_lock(&ring->shm, err) < 0) {
        ts_ring_close(ring);
        return -1;
    }
    return 0;
}

/* Copies bytes to their place, in two parts at the ring's end. */
static void write_bytes(struct ts_ring *ring, uint64_t offset,
                        const uint8_t *bytes, uint64_t size)
{
    const uint64_t place = offset % ring->data_size;
    const uint64_t room = ring->data_size - place;
    const uint64_t first = size < room ? size : room;

    memcpy(ring->data + place, bytes, first);
    memcpy(ring->data, bytes + first, size - first);
}

static void write_entry(struct ts_ring_entry *entry,
                        const struct ts_stretch *from)
{
    atomic_store_explicit(&entry->start, from->start, memory_order_release);
    atomic_store_explicit(&entry->end, from->end, memory_order_release);
    atomic_store_explicit(&entry->n_first, from->n_first, memory_order_release);
    atomic_store_explicit(&entry->n_end, from->n_end, memory_order_release);
    atomic_store_explicit(&entry->due_us, from->due_us, memory_order_release);
    atomic_store_explicit(&entry->is_key, from->is_key, memory_order_release);
    atomic_store_explicit(&entry->vbv_bits, from->vbv_bits,
                          memory_order_release);
}

int ts_ring_publish(struct ts_ring *ring, const uint8_t *bytes, uint64_t size,
                    struct ts_stretch *stretch, struct err *err)
{
    struct ts_ring_header *head = ring->head;
    const uint64_t count =
        atomic_load_explicit(&head->count, memory_order_relaxed);
    struct ts_stretch last = { .end = 0 };

    if (size == 0 || size % TS_PACKET_BYTES != 0 ||
        size > ring->data_size / 2) {
        return err_set(err, ERR_LIMIT,
                       "TS ring %s: a stretch of %llu bytes; it must be a "
                       "multiple of 188 and at most %llu: use a lower bitrate",
                       ring->shm.path, (unsigned long long)size,
                       (unsigned long long)(ring->data_size / 2));
    }
    if (count > 0 && ts_ring_entry(ring, count - 1, &last) != TS_RING_OK) {
        return err_set(err, ERR_INPUT,
                       "TS ring %s: its last entry is wrong; remove the file",
                       ring->shm.path);
    }
    stretch->start = last.end;
    stretch->end = last.end + size;
    /* A writer that died half-way may have reserved more than we need. */
    if (stretch->end >
        atomic_load_explicit(&head->reserved, memory_order_relaxed)) {
        atomic_store_explicit(&head->reserved, stretch->end,
                              memory_order_seq_cst);
    }
    order_bytes();
    write_bytes(ring, stretch->start, bytes, size);
    write_entry(&head->entry[count % TS_RING_ENTRIES], stretch);
    atomic_store_explicit(&head->count, count + 1, memory_order_release);
    return 0;
}

void ts_ring_close_stream(struct ts_ring *ring)
{
    if (ring->head != NULL) {
        atomic_store_explicit(&ring->head->is_closed, 1, memory_order_release);
    }
}

/* --- readers -------------------------------------------------------------- */

/* Everything of the fixed part, before any of it is used. */
static int check_header(const struct ts_ring *ring, struct err *err)
{
    const struct ts_ring_header *head = (void *)ring->shm.map;
    const char *path = ring->shm.path;

    if (atomic_load_explicit(&head->magic, memory_order_acquire) !=
        TS_RING_MAGIC) {
        return err_set(err, ERR_INPUT,
                       "TS ring %s: not a TS ring; give the "
                       "path of one that rv-render made",
                       path);
    }
    if (head->layout_version != TS_RING_LAYOUT_VERSION) {
        return err_set(err, ERR_INPUT,
                       "TS ring %s: layout %u, this program knows %u; restart "
                       "the channel",
                       path, (unsigned)head->layout_version,
                       (unsigned)TS_RING_LAYOUT_VERSION);
    }
    const uint64_t size = head->data_size;
    if (head->entries != TS_RING_ENTRIES || size < TS_RING_SIZE_MIN ||
        size > TS_RING_SIZE_MAX || size % TS_PACKET_BYTES != 0 ||
        ring->shm.size < file_size(size)) {
        return err_set(err, ERR_INPUT,
                       "TS ring %s: its sizes contradict each other; remove it "
                       "and restart the channel",
                       path);
    }
    if (house_check(&head->house, err) < 0)
        return err_prefix(err, "TS ring %s", path);
    return 0;
}

int ts_ring_open(struct ts_ring *ring, const char *path, bool is_writable,
                 struct err *err)
{
    *ring = TS_RING_EMPTY;
    if (shm_open_map(&ring->shm, path, "TS ring", is_writable,
                     file_size(TS_RING_SIZE_MIN), err) < 0)
        return -1;
    if (check_header(ring, err) < 0) {
        ts_ring_close(ring);
        return -1;
    }
    attach(ring);
    return 0;
}

void ts_ring_close(struct ts_ring *ring)
{
    shm_close(&ring->shm);
    *ring = TS_RING_EMPTY;
}

bool ts_ring_is_closed(const struct ts_ring *ring)
{
    return atomic_load_explicit(&ring->head->is_closed, memory_order_acquire) !=
           0;
}

bool ts_ring_has_writer(const struct ts_ring *ring)
{
    return shm_is_locked(&ring->shm);
}

uint64_t ts_ring_count(const struct ts_ring *ring)
{
    return atomic_load_explicit(&ring->head->count, memory_order_acquire);
}

static void read_entry(const struct ts_ring_entry *entry, struct ts_stretch *to)
{
    to->start = atomic_load_explicit(&entry->start, memory_order_acquire);
    to->end = atomic_load_explicit(&entry->end, memory_order_acquire);
    to->n_first = atomic_load_explicit(&entry->n_first, memory_order_acquire);
    to->n_end = atomic_load_explicit(&entry->n_end, memory_order_acquire);
    to->due_us = atomic_load_explicit(&entry->due_us, memory_order_acquire);
    to->is_key = atomic_load_explicit(&entry->is_key, memory_order_acquire);
    to->vbv_bits = atomic_load_explicit(&entry->vbv_bits, memory_order_acquire);
}

static bool is_sane(const struct ts_ring *ring, const struct ts_stretch *s)
{
    return s->start < s->end && s->end - s->start <= ring->data_size / 2 &&
           s->start % TS_PACKET_BYTES == 0 && s->end % TS_PACKET_BYTES == 0 &&
           s->n_first < s->n_end;
}

enum ts_ring_result ts_ring_entry(const struct ts_ring *ring, uint64_t i,
                                  struct ts_stretch *stretch)
{
    /* Entry count % K is being written before count says so: K - 1 are safe */
    const uint64_t count = ts_ring_count(ring);
    if (i >= count)
        return TS_RING_NONE;
    if (count - i >= TS_RING_ENTRIES)
        return TS_RING_GONE;
    read_entry(&ring->head->entry[i % TS_RING_ENTRIES], stretch);
    const bool is_kept = ts_ring_count(ring) - i < TS_RING_ENTRIES;
    return is_kept && is_sane(ring, stretch) ? TS_RING_OK : TS_RING_GONE;
}

enum ts_ring_result ts_ring_newest_key(const struct ts_ring *ring,
                                       int64_t utc_us, uint64_t *i)
{
    struct ts_stretch stretch;

    for (uint64_t at = ts_ring_count(ring); at > 0; at--) {
        const enum ts_ring_result got = ts_ring_entry(ring, at - 1, &stretch);
        if (got != TS_RING_OK)
            return got;
        if (!stretch.is_key || stretch.due_us > utc_us)
            continue;
        if (!ts_ring_is_intact(ring, stretch.start))
            return TS_RING_GONE;
        *i = at - 1;
        return TS_RING_OK;
    }
    return TS_RING_NONE;
}

bool ts_ring_is_intact(const struct ts_ring *ring, uint64_t offset)
{
    order_bytes();
    const uint64_t reserved =
        atomic_load_explicit(&ring->head->reserved, memory_order_acquire);
    return offset + ring->data_size >= reserved;
}

const uint8_t *ts_ring_bytes(const struct ts_ring *ring, uint64_t offset,
                             uint64_t end, uint64_t *run)
{
    const uint64_t place = offset % ring->data_size;
    const uint64_t room = ring->data_size - place;
    const uint64_t wanted = end > offset ? end - offset : 0;

    *run = wanted < room ? wanted : room;
    return ring->data + place;
}
