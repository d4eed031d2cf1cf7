/*
 * pool: both ends of the shared memory between one decoder and one stage.
 *
 * Two counters say everything: `ready` rises when a frame is whole, `released`
 * when nobody needs it any more.  What the decoder knows about its slots (how
 * often each is named by a frame that is not released, whether it holds it
 * itself) is private memory: it dies with the decoder and no other process
 * could use it.  If a counter went wrong a decoder would write into a picture
 * that is being encoded, so a foreign counter is only believed inside its
 * range.
 */
#include "frame/pool_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

/*
 * A slot's count: 1 for each holder (pool_slot_take) and 1 for each frame that
 * names it and is not released.  named[] repeats the records' picture slots,
 * since records can be written by others.
 */
struct pool_slots {
    _Atomic uint32_t refs[POOL_SLOTS_MAX];
    _Atomic uint32_t named[POOL_RECORDS];
    _Atomic uint64_t harvested; /* frames below gave their slots back */
    _Atomic uint64_t published;
    _Atomic uint32_t hint; /* where to look for a free one first */
};

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

void pool_layout(struct pool_layout *layout, uint32_t slot_count,
                 uint32_t picture_bytes, uint32_t audio_bytes)
{
    layout->records = round_up(sizeof(struct pool_header), 4096);
    layout->audio =
        layout->records +
        round_up((uint64_t)POOL_RECORDS * sizeof(struct pool_frame), 4096);
    layout->pictures =
        layout->audio + round_up((uint64_t)POOL_RECORDS * audio_bytes, 4096);
    layout->size = layout->pictures + (uint64_t)slot_count * picture_bytes;
}

uint32_t pool_plane_stride(const struct house *house, int plane)
{
    const int32_t width = plane == 0 ? house->width : house->width / 2;

    return (uint32_t)round_up((uint64_t)width, 64);
}

uint32_t pool_plane_offset(const struct house *house, int plane)
{
    const uint32_t luma = pool_plane_stride(house, 0) * (uint32_t)house->height;
    const uint32_t chroma =
        pool_plane_stride(house, 1) * (uint32_t)(house->height / 2);

    return plane == 0 ? 0 : plane == 1 ? luma : luma + chroma;
}

static uint32_t default_picture_bytes(const struct house *house)
{
    const uint32_t chroma =
        pool_plane_stride(house, 1) * (uint32_t)(house->height / 2);

    return (uint32_t)round_up(pool_plane_offset(house, 2) + chroma, 4096);
}

/* Sound for the longest frame, a whole number of cache lines. */
static uint32_t audio_bytes_for(const struct house *house)
{
    return (uint32_t)round_up((uint64_t)house_max_samples(house) *
                                  (uint64_t)house->channels * sizeof(int16_t),
                              64);
}

static struct pool_frame *record_of(const struct pool *pool, uint64_t seq)
{
    struct pool_layout layout;

    pool_layout(&layout, pool->slot_count, pool->picture_bytes,
                pool->audio_bytes);
    return (struct pool_frame *)(pool->shm.map + layout.records) +
           seq % POOL_RECORDS;
}

/* --- both sides ----------------------------------------------------------- */

static int check_header(struct pool *pool, struct err *err)
{
    const struct pool_header *head = (const void *)pool->shm.map;
    const char *path = pool->shm.path;
    struct pool_layout layout;

    const uint32_t magic =
        atomic_load_explicit(&head->magic, memory_order_acquire);
    if (magic == 0)
        return err_set(err, ERR_UNREACHABLE, "pool %s: is not made yet", path);
    if (magic != POOL_MAGIC)
        return err_set(err, ERR_INPUT,
                       "pool %s: this is no pool; give the path of one", path);
    if (head->version != POOL_LAYOUT_VERSION ||
        head->record_size != sizeof(struct pool_frame))
        return err_set(
            err, ERR_INPUT,
            "pool %s: layout %u, this program reads %u; use programs "
            "of one release",
            path, head->version, POOL_LAYOUT_VERSION);
    pool->house = (struct house){ .width = head->width,
                                  .height = head->height,
                                  .rate = { head->rate_num, head->rate_den },
                                  .sample_rate = head->sample_rate,
                                  .channels = head->channels };
    if (house_check(&pool->house, err) < 0)
        return err_prefix(err, "pool %s", path);
    pool->slot_count = head->slot_count;
    pool->picture_bytes = head->picture_bytes;
    pool->audio_bytes = head->audio_bytes;
    if (pool->slot_count < 1 || pool->slot_count > POOL_SLOTS_MAX)
        return err_set(err, ERR_INPUT, "pool %s: %u slots, not 1 to %d", path,
                       pool->slot_count, POOL_SLOTS_MAX);
    if (pool->audio_bytes != audio_bytes_for(&pool->house))
        return err_set(err, ERR_INPUT,
                       "pool %s: audio slots of %u bytes, not %u", path,
                       pool->audio_bytes, audio_bytes_for(&pool->house));
    pool_layout(&layout, pool->slot_count, pool->picture_bytes,
                pool->audio_bytes);
    if (layout.size != pool->shm.size)
        return err_set(err, ERR_INPUT,
                       "pool %s: %zu bytes, but its header says %llu; it is "
                       "cut short or damaged",
                       path, pool->shm.size, (unsigned long long)layout.size);
    return 0;
}

int pool_open(struct pool *pool, const char *path, bool is_consumer,
              struct err *err)
{
    *pool = POOL_EMPTY;
    if (shm_open_map(&pool->shm, path, "pool", is_consumer,
                     sizeof(struct pool_header), err) < 0)
        return -1;
    if (check_header(pool, err) < 0) {
        pool_close(pool);
        return -1;
    }
    pool->head = (struct pool_header *)pool->shm.map;
    return 0;
}

void pool_close(struct pool *pool)
{
    free(pool->slots);
    shm_close(&pool->shm);
    *pool = POOL_EMPTY;
}

bool pool_has_producer(const struct pool *pool)
{
    return pool->head != NULL && shm_is_locked(&pool->shm);
}

enum pool_status pool_status(const struct pool *pool)
{
    const uint32_t status =
        atomic_load_explicit(&pool->head->status, memory_order_acquire);

    return status <= POOL_FAILED ? (enum pool_status)status : POOL_FAILED;
}

int64_t pool_end_index(const struct pool *pool)
{
    const enum pool_status status = pool_status(pool);

    if (status != POOL_ENDED && status != POOL_FAILED)
        return INT64_MAX;
    return atomic_load_explicit(&pool->head->end_index, memory_order_relaxed);
}

void pool_failure(const struct pool *pool, struct err *err)
{
    char text[POOL_FAILURE_SIZE];
    uint32_t kind = pool->head->failure_kind;

    memcpy(text, pool->head->failure, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    if (kind == ERR_NONE || kind > ERR_SYSTEM)
        kind = ERR_SYSTEM;
    err_set(err, (enum err_kind)kind, "%s",
            text[0] != '\0' ? text : "the decoder gave no reason");
}

/* seq_cst: these are the looks between bell_arm() and a wait. */
uint64_t pool_ready(const struct pool *pool)
{
    return atomic_load_explicit(&pool->head->ready, memory_order_seq_cst);
}

uint64_t pool_released(const struct pool *pool)
{
    return atomic_load_explicit(&pool->head->released, memory_order_seq_cst);
}

/* Does a plane of width x height lie inside a picture slot? */
static bool plane_fits(const struct pool *pool, const struct pool_frame *frame,
                       int plane)
{
    const struct house *house = &pool->house;
    const uint64_t width =
        (uint64_t)(plane == 0 ? house->width : house->width / 2);
    const uint64_t height =
        (uint64_t)(plane == 0 ? house->height : house->height / 2);
    const uint64_t stride = frame->stride_bytes[plane];

    return stride >= width && stride <= INT32_MAX &&
           frame->plane_offset[plane] + stride * (height - 1) + width <=
               pool->picture_bytes;
}

static const char *broken_rule(const struct pool *pool,
                               const struct pool_frame *frame)
{
    const uint64_t sample_bytes =
        sizeof(int16_t) * (uint64_t)pool->house.channels;

    if (frame->picture >= pool->slot_count)
        return "names a picture slot that does not exist";
    for (int plane = 0; plane < 3; plane++) {
        if (!plane_fits(pool, frame, plane))
            return "has a plane outside its picture slot";
    }
    if (frame->samples < 0 ||
        (uint64_t)frame->samples * sample_bytes > pool->audio_bytes)
        return "has more sound than its audio slot holds";
    if (frame->captions_size > POOL_CAPTIONS_SIZE ||
        frame->captions_size % 3 != 0)
        return "has captions of a size that cannot be";
    if (frame->segment_first > frame->index)
        return "lies before its own segment";
    return NULL;
}

int pool_read(const struct pool *pool, uint64_t seq, struct pool_frame *frame,
              struct err *err)
{
    const uint64_t ready = pool_ready(pool);
    const uint64_t released = pool_released(pool);

    if (seq < released || seq >= ready || ready - released > POOL_RECORDS)
        return err_set(err, ERR_INPUT,
                       "pool %s: frame %llu is not there (%llu to %llu are)",
                       pool->shm.path, (unsigned long long)seq,
                       (unsigned long long)released, (unsigned long long)ready);
    memcpy(frame, record_of(pool, seq), sizeof(*frame));
    frame->segment[sizeof(frame->segment) - 1] = '\0';
    frame->asset[sizeof(frame->asset) - 1] = '\0';
    const char *rule = broken_rule(pool, frame);
    if (rule != NULL)
        return err_set(err, ERR_INPUT, "pool %s: frame %llu %s", pool->shm.path,
                       (unsigned long long)seq, rule);
    return 0;
}

uint8_t *pool_picture(const struct pool *pool, uint32_t slot)
{
    struct pool_layout layout;

    assert(slot < pool->slot_count);
    pool_layout(&layout, pool->slot_count, pool->picture_bytes,
                pool->audio_bytes);
    return pool->shm.map + layout.pictures +
           (uint64_t)slot * pool->picture_bytes;
}

int16_t *pool_audio(const struct pool *pool, uint64_t seq)
{
    struct pool_layout layout;

    pool_layout(&layout, pool->slot_count, pool->picture_bytes,
                pool->audio_bytes);
    return (int16_t *)(pool->shm.map + layout.audio +
                       seq % POOL_RECORDS * pool->audio_bytes);
}

/* --- producer ------------------------------------------------------------- */

static int check_config(const char *path, const struct pool_config *config,
                        struct err *err)
{
    if (house_check(&config->house, err) < 0)
        return err_prefix(err, "pool %s", path);
    if (config->slots < 1 || config->slots > POOL_SLOTS_MAX)
        return err_set(err, ERR_LIMIT, "pool %s: %u picture slots, not 1 to %d",
                       path, config->slots, POOL_SLOTS_MAX);
    if (config->picture_bytes > (1u << 30))
        return err_set(err, ERR_LIMIT,
                       "pool %s: pictures of %u bytes; 1 GiB at the most", path,
                       config->picture_bytes);
    return 0;
}

static void write_header(struct pool *pool)
{
    struct pool_header *head = pool->head;

    head->version = POOL_LAYOUT_VERSION;
    head->record_size = sizeof(struct pool_frame);
    head->slot_count = pool->slot_count;
    head->picture_bytes = pool->picture_bytes;
    head->audio_bytes = pool->audio_bytes;
    head->width = pool->house.width;
    head->height = pool->house.height;
    head->rate_num = pool->house.rate.num;
    head->rate_den = pool->house.rate.den;
    head->sample_rate = pool->house.sample_rate;
    head->channels = pool->house.channels;
}

static int make_file(struct pool *pool, const char *path, uint64_t size,
                     struct shm *reserved, struct err *err)
{
    if (reserved == NULL || reserved->fd < 0)
        return shm_create(&pool->shm, path, size, err);
    pool->shm = *reserved;
    *reserved = SHM_EMPTY;
    return shm_fill(&pool->shm, size, err);
}

int pool_build(struct pool *pool, const char *path,
               const struct pool_config *config, struct err *err)
{
    struct pool_layout layout;

    *pool = POOL_EMPTY;
    if (check_config(path, config, err) < 0)
        return -1;
    const uint32_t least = default_picture_bytes(&config->house);
    pool->house = config->house;
    pool->slot_count = config->slots;
    pool->picture_bytes = config->picture_bytes > least
                              ? (uint32_t)round_up(config->picture_bytes, 4096)
                              : least;
    pool->audio_bytes = audio_bytes_for(&config->house);
    pool->slots = calloc(1, sizeof(*pool->slots));
    if (pool->slots == NULL)
        return err_set(err, ERR_SYSTEM, "pool %s: no memory", path);
    pool_layout(&layout, pool->slot_count, pool->picture_bytes,
                pool->audio_bytes);
    if (make_file(pool, path, layout.size, config->reserved, err) < 0 ||
        shm_lock(&pool->shm, err) < 0) {
        err_prefix(err, "pool");
        pool_close(pool);
        return -1;
    }
    pool->head = (struct pool_header *)pool->shm.map;
    write_header(pool);
    return 0;
}

int pool_show(struct pool *pool, struct err *err)
{
    atomic_store_explicit(&pool->head->magic, POOL_MAGIC, memory_order_release);
    return shm_publish(&pool->shm, err);
}

int pool_create(struct pool *pool, const char *path,
                const struct pool_config *config, struct err *err)
{
    if (pool_build(pool, path, config, err) < 0)
        return -1;
    if (pool_show(pool, err) < 0) {
        err_prefix(err, "pool");
        pool_close(pool);
        return -1;
    }
    return 0;
}

/* Released frames so far; a number outside its range is not believed. */
static uint64_t believed_released(const struct pool *pool)
{
    const uint64_t released = pool_released(pool);
    const uint64_t harvested = atomic_load(&pool->slots->harvested);
    const uint64_t published = atomic_load(&pool->slots->published);

    return released - harvested <= published - harvested ? released : harvested;
}

/*
 * Gives back the slots of released frames.  Any thread: who moves `harvested`
 * over a frame returns its slot.  named[] of that frame is read before, and
 * only overwritten once `harvested` has passed it, so a won exchange proves
 * that the number read was right.
 */
static void harvest(struct pool *pool)
{
    struct pool_slots *slots = pool->slots;
    const uint64_t released = believed_released(pool);
    uint64_t at = atomic_load(&slots->harvested);

    while (at < released) {
        const uint32_t slot = atomic_load(&slots->named[at % POOL_RECORDS]);
        if (atomic_compare_exchange_strong(&slots->harvested, &at, at + 1)) {
            atomic_fetch_sub(&slots->refs[slot], 1);
            at++;
        }
    }
}

int pool_slot_take(struct pool *pool)
{
    struct pool_slots *slots = pool->slots;

    harvest(pool);
    const uint32_t hint = atomic_load(&slots->hint);
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        const uint32_t slot = (hint + i) % pool->slot_count;
        uint32_t none = 0;
        if (atomic_compare_exchange_strong(&slots->refs[slot], &none, 1)) {
            atomic_store(&slots->hint, slot + 1);
            return (int)slot;
        }
    }
    return -1;
}

void pool_slot_drop(struct pool *pool, int slot)
{
    assert(slot >= 0 && (uint32_t)slot < pool->slot_count);
    assert(atomic_load(&pool->slots->refs[slot]) > 0);
    atomic_fetch_sub(&pool->slots->refs[slot], 1);
    bell_ring(&pool->head->free_bell);
}

static bool has_record(const struct pool *pool)
{
    return pool->next - atomic_load(&pool->slots->harvested) < POOL_RECORDS;
}

bool pool_has_room(struct pool *pool, uint32_t slots)
{
    uint32_t found = 0;

    harvest(pool);
    for (uint32_t i = 0; i < pool->slot_count && found < slots; i++)
        found += atomic_load(&pool->slots->refs[i]) == 0;
    return found >= slots && has_record(pool);
}

bool pool_wait_room(struct pool *pool, uint32_t slots, int64_t timeout_us)
{
    struct bell *bell = &pool->head->free_bell;

    if (pool_has_room(pool, slots))
        return true;
    const uint32_t seen = bell_arm(bell);
    bool has_room = pool_has_room(pool, slots);
    if (!has_room) {
        futex_wait(&bell->count, seen, timeout_us);
        has_room = pool_has_room(pool, slots);
    }
    bell_disarm(bell);
    return has_room;
}

struct pool_frame *pool_begin(struct pool *pool)
{
    harvest(pool);
    if (!has_record(pool))
        return NULL;
    struct pool_frame *frame = record_of(pool, pool->next);
    memset(frame, 0, sizeof(*frame));
    return frame;
}

void pool_publish(struct pool *pool)
{
    struct pool_slots *slots = pool->slots;
    struct pool_header *head = pool->head;
    const uint32_t slot = record_of(pool, pool->next)->picture;

    assert(slot < pool->slot_count);
    atomic_store(&slots->named[pool->next % POOL_RECORDS], slot);
    atomic_fetch_add(&slots->refs[slot], 1);
    pool->next++;
    atomic_store(&slots->published, pool->next);
    if (atomic_load_explicit(&head->status, memory_order_relaxed) ==
        POOL_OPENING)
        atomic_store_explicit(&head->status, POOL_RUNNING,
                              memory_order_release);
    atomic_store_explicit(&head->ready, pool->next, memory_order_seq_cst);
    bell_ring(&head->ready_bell);
}

void pool_end(struct pool *pool, int64_t end_index, const struct err *err)
{
    struct pool_header *head = pool->head;

    if (err != NULL) {
        head->failure_kind = err->kind;
        strlcpy(head->failure, err->text, sizeof(head->failure));
    }
    atomic_store_explicit(&head->end_index, end_index, memory_order_relaxed);
    atomic_store_explicit(&head->status, err ? POOL_FAILED : POOL_ENDED,
                          memory_order_seq_cst);
    bell_ring_always(&head->ready_bell);
}

/* --- consumer ------------------------------------------------------------- */

void pool_release(struct pool *pool, uint64_t seq)
{
    const uint64_t released = pool_released(pool);

    if (seq <= released || seq > pool_ready(pool))
        return;
    atomic_store_explicit(&pool->head->released, seq, memory_order_seq_cst);
    bell_ring(&pool->head->free_bell);
}

struct bell *pool_ready_bell(struct pool *pool)
{
    return &pool->head->ready_bell;
}
