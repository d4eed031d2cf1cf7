/*
 * stage ring: one word that both sides change, and what hangs on it.
 *
 * The word holds tail and frontier modulo 2^32.  Whoever claims raises the
 * frontier by compare-and-swap, the stage lowers the tail the same way, so a
 * frame is either taken or taken back and never both.  64-bit positions are
 * rebuilt around the renderer's cursor, which is 64 bits wide and never 2^31
 * frames away.  If this file is wrong a viewer sees a frame twice or a stage
 * overwrites a reference that an encoder still needs.
 */
#include "frame/stage_ring_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#define MASK         (STAGE_RING_ENTRIES - 1)
#define KEEP_MAX     256
#define ONE_STAGED   (UINT64_C(1) << 32)
#define READ_TRIES   64
#define AAC_FRAME    1024
#define PRIME_FRAMES 5 /* four warm-up packets and one for the phase */

/* Byte 0 of the file is locked by the stage, 1 + c by consumer c. */
#define LOCK_STAGE       0
#define LOCK_CONSUMER(c) (1 + (c))

static const char *const REASONS[REASON_COUNT] = {
    [REASON_PLAN] = "plan",
    [REASON_PREVIEW] = "preview",
    [REASON_SLATE_PLANNED] = "slate: plan",
    [REASON_SLATE_LATE] = "slate: input late",
    [REASON_SLATE_MISSING] = "slate: asset cannot be played",
    [REASON_SLATE_GAP] = "slate: gap",
    [REASON_SLATE_SHORT] = "slate: asset ended early",
    [REASON_SLATE_END_OF_PLAN] = "slate: end of plan",
};

const char *stage_reason_text(enum stage_reason reason)
{
    return (unsigned)reason < REASON_COUNT ? REASONS[reason] : "unknown";
}

int stage_reason_from_text(const char *text)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        if (strcmp(REASONS[i], text) == 0)
            return i;
    }
    return -1;
}

uint32_t stage_ring_default_keep(const struct house *house)
{
    const int64_t samples = (int64_t)PRIME_FRAMES * AAC_FRAME;
    const int64_t per_num = (int64_t)house->sample_rate * house->rate.den;

    return (uint32_t)((samples * house->rate.num + per_num - 1) / per_num);
}

/* --- locks: gone with the process, whatever kills it ---------------------- */

static int lock_byte(const struct stage_ring *ring, int byte, const char *who,
                     struct err *err)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
    };

    if (fcntl(ring->shm.fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(err, ERR_STATE,
                       "stage ring %s: has a living %s already; stop that one "
                       "or give another ring",
                       ring->shm.path, who);
    return err_errno(err, ERR_SYSTEM, "stage ring %s: cannot be locked",
                     ring->shm.path);
}

static void unlock_byte(const struct stage_ring *ring, int byte)
{
    struct flock lock = {
        .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
    };

    fcntl(ring->shm.fd, F_OFD_SETLK, &lock);
}

static bool is_byte_locked(const struct stage_ring *ring, int byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
    };

    return ring->head != NULL && fcntl(ring->shm.fd, F_OFD_GETLK, &lock) == 0 &&
           lock.l_type != F_UNLCK;
}

/* --- create, open, close -------------------------------------------------- */

/* The folder that holds the ring's file: where its pools lie. */
static void set_folder(struct stage_ring *ring, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        strlcpy(ring->folder, ".", sizeof(ring->folder));
    else
        snprintf(ring->folder, sizeof(ring->folder), "%.*s",
                 (int)(slash == path ? 1 : slash - path), path);
}

static int check_figures(const struct stage_ring *ring, const char *path,
                         struct err *err)
{
    if (ring->max_depth < 1 || ring->max_depth > STAGE_DEPTH_MAX)
        return err_set(err, ERR_INPUT,
                       "stage ring %s: maximum depth %u, not 1 to %d", path,
                       ring->max_depth, STAGE_DEPTH_MAX);
    if (ring->min_depth < 1 || ring->min_depth > ring->max_depth)
        return err_set(err, ERR_INPUT,
                       "stage ring %s: minimum depth %u, not 1 to the maximum, "
                       "%u",
                       path, ring->min_depth, ring->max_depth);
    if (ring->keep < 1 || ring->keep > KEEP_MAX)
        return err_set(err, ERR_INPUT,
                       "stage ring %s: keeps %u frames, not 1 to %d", path,
                       ring->keep, KEEP_MAX);
    if (ring->pts_base < HOUSE_PTS_BASE_MIN || ring->pts_base >= HOUSE_PTS_WRAP)
        return err_set(
            err, ERR_INPUT,
            "stage ring %s: first PTS %" PRId64 ", not %" PRId64 " to %" PRId64,
            path, ring->pts_base, HOUSE_PTS_BASE_MIN, HOUSE_PTS_WRAP - 1);
    return 0;
}

static void write_header(struct stage_ring *ring)
{
    struct stage_ring_header *head = ring->head;

    head->version = STAGE_RING_LAYOUT_VERSION;
    head->entry_count = STAGE_RING_ENTRIES;
    head->entry_size = sizeof(struct stage_ring_entry);
    head->width = ring->house.width;
    head->height = ring->house.height;
    head->rate_num = ring->house.rate.num;
    head->rate_den = ring->house.rate.den;
    head->sample_rate = ring->house.sample_rate;
    head->channels = ring->house.channels;
    head->channel = ring->channel;
    head->min_depth = ring->min_depth;
    head->max_depth = ring->max_depth;
    head->keep = ring->keep;
    head->pts_base = ring->pts_base;
    atomic_store_explicit(&head->end_frame, INT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&head->cut_frame, -1, memory_order_relaxed);
    atomic_store_explicit(&head->intake_us, STAGE_RING_INTAKE_US,
                          memory_order_relaxed);
    atomic_store_explicit(&head->next_pool_id, 1, memory_order_relaxed);
    atomic_store_explicit(&head->magic, STAGE_RING_MAGIC, memory_order_release);
}

int stage_ring_create(struct stage_ring *ring, const char *path,
                      const struct stage_ring_config *config, struct err *err)
{
    *ring = STAGE_RING_EMPTY;
    ring->house = config->house;
    ring->channel = config->channel;
    ring->min_depth = config->min_depth ? config->min_depth : 30;
    ring->max_depth = config->max_depth ? config->max_depth : 60;
    ring->keep =
        config->keep ? config->keep : stage_ring_default_keep(&config->house);
    ring->pts_base = config->pts_base ? config->pts_base : HOUSE_PTS_BASE;
    if (house_check(&config->house, err) < 0)
        return err_prefix(err, "stage ring %s", path);
    if (check_figures(ring, path, err) < 0)
        return -1;
    set_folder(ring, path);
    if (shm_create(&ring->shm, path, sizeof(struct stage_ring_header), err) <
        0) {
        err_prefix(err, "stage ring");
        return -1;
    }
    ring->head = (struct stage_ring_header *)ring->shm.map;
    write_header(ring);
    if (lock_byte(ring, LOCK_STAGE, "stage", err) < 0 ||
        shm_publish(&ring->shm, err) < 0) {
        stage_ring_close(ring);
        return -1;
    }
    return 0;
}

static int check_header(struct stage_ring *ring, struct err *err)
{
    const struct stage_ring_header *head = (const void *)ring->shm.map;
    const char *path = ring->shm.path;

    if (atomic_load_explicit(&head->magic, memory_order_acquire) !=
        STAGE_RING_MAGIC)
        return err_set(err, ERR_INPUT,
                       "stage ring %s: this is no stage ring; give the path of "
                       "one",
                       path);
    if (head->version != STAGE_RING_LAYOUT_VERSION ||
        head->entry_count != STAGE_RING_ENTRIES ||
        head->entry_size != sizeof(struct stage_ring_entry))
        return err_set(err, ERR_INPUT,
                       "stage ring %s: layout %u, this program reads %u; use "
                       "programs of one release",
                       path, head->version, STAGE_RING_LAYOUT_VERSION);
    if (ring->shm.size != sizeof(struct stage_ring_header))
        return err_set(err, ERR_INPUT,
                       "stage ring %s: %zu bytes, not %zu; it is cut short or "
                       "damaged",
                       path, ring->shm.size, sizeof(struct stage_ring_header));
    ring->house = (struct house){ .width = head->width,
                                  .height = head->height,
                                  .rate = { head->rate_num, head->rate_den },
                                  .sample_rate = head->sample_rate,
                                  .channels = head->channels };
    if (house_check(&ring->house, err) < 0)
        return err_prefix(err, "stage ring %s", path);
    ring->channel = head->channel;
    ring->min_depth = head->min_depth;
    ring->max_depth = head->max_depth;
    ring->keep = head->keep;
    ring->pts_base = head->pts_base;
    return check_figures(ring, path, err);
}

int stage_ring_open(struct stage_ring *ring, const char *path, struct err *err)
{
    *ring = STAGE_RING_EMPTY;
    if (shm_open_map(&ring->shm, path, "stage ring", true,
                     offsetof(struct stage_ring_header, entry), err) < 0)
        return -1;
    if (check_header(ring, err) < 0) {
        stage_ring_close(ring);
        return -1;
    }
    ring->head = (struct stage_ring_header *)ring->shm.map;
    set_folder(ring, path);
    return 0;
}

void stage_ring_close(struct stage_ring *ring)
{
    shm_close(&ring->shm);
    *ring = STAGE_RING_EMPTY;
}

int stage_ring_own(struct stage_ring *ring, struct err *err)
{
    return lock_byte(ring, LOCK_STAGE, "stage", err);
}

bool stage_ring_has_stage(const struct stage_ring *ring)
{
    return is_byte_locked(ring, LOCK_STAGE);
}

/* --- pools by number ------------------------------------------------------ */

void stage_ring_pool_path(const struct stage_ring *ring, uint32_t id,
                          char path[1024])
{
    char name[32];

    if (id == STAGE_POOL_SLATE)
        strlcpy(name, "/slate", sizeof(name));
    else
        snprintf(name, sizeof(name), "/pool-%u", id);
    strlcpy(path, ring->folder, 1024);
    strlcat(path, name, 1024);
}

uint32_t stage_ring_new_pool_id(struct stage_ring *ring)
{
    return atomic_fetch_add_explicit(&ring->head->next_pool_id, 1,
                                     memory_order_relaxed);
}

void stage_ring_saw_pool_id(struct stage_ring *ring, uint32_t id)
{
    uint32_t next =
        atomic_load_explicit(&ring->head->next_pool_id, memory_order_relaxed);

    while (next <= id && id < UINT32_MAX) {
        if (atomic_compare_exchange_weak_explicit(
                &ring->head->next_pool_id, &next, id + 1, memory_order_relaxed,
                memory_order_relaxed))
            break;
    }
}

/* --- positions ------------------------------------------------------------ */

/* The 64-bit number next to `near` whose lower half is `low`. */
static int64_t widen(uint32_t low, int64_t near)
{
    return near + (int32_t)(low - (uint32_t)near);
}

/* seq_cst: this is a look between bell_arm() and a wait. */
static uint64_t load_word(const struct stage_ring *ring)
{
    return atomic_load_explicit(&ring->head->word, memory_order_seq_cst);
}

static uint32_t word_tail(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static uint32_t word_frontier(uint64_t word)
{
    return (uint32_t)word;
}

static int64_t load_cursor(const struct stage_ring *ring, int consumer)
{
    return atomic_load_explicit(&ring->head->cursor[consumer].n,
                                memory_order_seq_cst);
}

int64_t stage_ring_tail(const struct stage_ring *ring)
{
    return widen(word_tail(load_word(ring)), load_cursor(ring, 0));
}

int64_t stage_ring_frontier(const struct stage_ring *ring)
{
    return widen(word_frontier(load_word(ring)), load_cursor(ring, 0));
}

/* Nobody attached: the renderer's, which is 0 or where the last one ended. */
int64_t stage_ring_cursor(const struct stage_ring *ring)
{
    int64_t lowest = INT64_MAX;

    for (int c = 0; c < STAGE_RING_CONSUMERS; c++) {
        const struct stage_ring_cursor *cursor = &ring->head->cursor[c];
        const int64_t n = load_cursor(ring, c);
        if (atomic_load_explicit(&cursor->is_attached, memory_order_seq_cst) &&
            n < lowest)
            lowest = n;
    }
    return lowest != INT64_MAX ? lowest : load_cursor(ring, 0);
}

int64_t stage_ring_release_point(const struct stage_ring *ring)
{
    const int64_t point = stage_ring_cursor(ring) - ring->keep;

    return point > 0 ? point : 0;
}

static struct stage_ring_entry *entry_of(const struct stage_ring *ring,
                                         int64_t n)
{
    return &ring->head->entry[(uint64_t)n & MASK];
}

/* Half an entry is never given: the stamp must be even and stay the same. */
static bool copy_entry(const struct stage_ring *ring, int64_t n,
                       struct stage_ref *ref)
{
    struct stage_ring_entry *entry = entry_of(ring, n);

    for (int i = 0; i < READ_TRIES; i++) {
        const uint64_t stamp =
            atomic_load_explicit(&entry->stamp, memory_order_acquire);
        ref->n = atomic_load_explicit(&entry->n, memory_order_acquire);
        ref->origin =
            atomic_load_explicit(&entry->origin, memory_order_acquire);
        ref->seq = atomic_load_explicit(&entry->seq, memory_order_acquire);
        ref->pool = atomic_load_explicit(&entry->pool, memory_order_acquire);
        ref->reason =
            atomic_load_explicit(&entry->reason, memory_order_acquire);
        ref->run_first =
            atomic_load_explicit(&entry->run_first, memory_order_acquire);
        ref->run_asset_first =
            atomic_load_explicit(&entry->run_asset_first, memory_order_acquire);
        if (stamp % 2 == 0 &&
            atomic_load_explicit(&entry->stamp, memory_order_relaxed) == stamp)
            return ref->n == n && ref->reason < REASON_COUNT;
    }
    return false;
}

enum ring_result stage_ring_read(const struct stage_ring *ring, int64_t n,
                                 struct stage_ref *ref)
{
    const int64_t tail = widen(word_tail(load_word(ring)), n);

    if (n < 0)
        return RING_END;
    if (n >= tail)
        return RING_EMPTY;
    return copy_entry(ring, n, ref) ? RING_OK : RING_END;
}

/* --- epoch ---------------------------------------------------------------- */

/*
 * The copy that `epoch_serial` names is whole.  If it is unchanged after the
 * copy was read, no store into that copy was seen: each is a release after the
 * next serial's store.
 */
struct stage_epoch stage_ring_epoch(const struct stage_ring *ring)
{
    struct stage_ring_header *head = ring->head;
    struct stage_epoch epoch = { .serial = 0 };

    for (int i = 0; i < READ_TRIES; i++) {
        const uint32_t serial =
            atomic_load_explicit(&head->epoch_serial, memory_order_acquire);
        epoch.n0 = atomic_load_explicit(&head->epoch[serial % 2].n0,
                                        memory_order_acquire);
        epoch.utc_us = atomic_load_explicit(&head->epoch[serial % 2].utc_us,
                                            memory_order_acquire);
        epoch.serial = serial;
        if (atomic_load_explicit(&head->epoch_serial, memory_order_relaxed) ==
            serial)
            break;
    }
    return epoch;
}

int64_t stage_ring_deadline_us(const struct stage_ring *ring,
                               const struct stage_epoch *epoch, int64_t n)
{
    return epoch->utc_us + house_us(&ring->house, n - epoch->n0);
}

int64_t stage_ring_intake_us(const struct stage_ring *ring)
{
    return atomic_load_explicit(&ring->head->intake_us, memory_order_relaxed);
}

/* --- stage ---------------------------------------------------------------- */

void stage_ring_set_epoch(struct stage_ring *ring, int64_t n0, int64_t utc_us)
{
    struct stage_ring_header *head = ring->head;
    uint32_t serial =
        atomic_load_explicit(&head->epoch_serial, memory_order_relaxed) + 1;

    if (serial == 0) /* 0 means none; 2 keeps the copies alternating */
        serial = 2;
    atomic_store_explicit(&head->epoch[serial % 2].n0, n0,
                          memory_order_release);
    atomic_store_explicit(&head->epoch[serial % 2].utc_us, utc_us,
                          memory_order_release);
    atomic_store_explicit(&head->epoch_serial, serial, memory_order_seq_cst);
    bell_ring(&head->render_bell);
}

static void write_entry(struct stage_ring *ring, const struct stage_ref *ref)
{
    struct stage_ring_entry *entry = entry_of(ring, ref->n);
    /* A stage that died here left it odd. */
    const uint64_t stamp =
        atomic_load_explicit(&entry->stamp, memory_order_relaxed) | 1;

    atomic_store_explicit(&entry->stamp, stamp, memory_order_relaxed);
    atomic_store_explicit(&entry->n, ref->n, memory_order_release);
    atomic_store_explicit(&entry->origin, ref->origin, memory_order_release);
    atomic_store_explicit(&entry->seq, ref->seq, memory_order_release);
    atomic_store_explicit(&entry->pool, ref->pool, memory_order_release);
    atomic_store_explicit(&entry->reason, ref->reason, memory_order_release);
    atomic_store_explicit(&entry->run_first, ref->run_first,
                          memory_order_release);
    atomic_store_explicit(&entry->run_asset_first, ref->run_asset_first,
                          memory_order_release);
    atomic_store_explicit(&entry->stamp, stamp + 1, memory_order_release);
}

enum ring_result stage_ring_push(struct stage_ring *ring,
                                 const struct stage_ref *ref)
{
    const uint64_t word = load_word(ring);
    const int64_t tail = widen(word_tail(word), ref->n);
    const int64_t frontier = widen(word_frontier(word), ref->n);

    if (ref->n != tail || tail - frontier >= (int64_t)ring->max_depth ||
        tail - stage_ring_release_point(ring) >= STAGE_RING_ENTRIES)
        return RING_FULL;
    write_entry(ring, ref);
    atomic_fetch_add_explicit(&ring->head->word, ONE_STAGED,
                              memory_order_seq_cst);
    bell_ring(&ring->head->render_bell);
    return RING_OK;
}

int64_t stage_ring_take_back(struct stage_ring *ring, int64_t n)
{
    const int64_t near = load_cursor(ring, 0);
    uint64_t word = load_word(ring);

    for (;;) {
        const int64_t tail = widen(word_tail(word), near);
        const int64_t frontier = widen(word_frontier(word), near);
        const int64_t lowest = n > frontier ? n : frontier;
        if (lowest >= tail)
            return tail;
        const uint64_t lowered =
            (uint64_t)(uint32_t)lowest << 32 | word_frontier(word);
        if (atomic_compare_exchange_weak_explicit(&ring->head->word, &word,
                                                  lowered, memory_order_acq_rel,
                                                  memory_order_acquire))
            return lowest;
    }
}

void stage_ring_set_end(struct stage_ring *ring, int64_t n)
{
    atomic_store_explicit(&ring->head->end_frame, n, memory_order_seq_cst);
    bell_ring_always(&ring->head->render_bell);
}

int64_t stage_ring_end(const struct stage_ring *ring)
{
    return atomic_load_explicit(&ring->head->end_frame, memory_order_seq_cst);
}

void stage_ring_applied(struct stage_ring *ring, uint32_t serial,
                        int64_t cut_frame)
{
    atomic_store_explicit(&ring->head->cut_frame, cut_frame,
                          memory_order_relaxed);
    atomic_store_explicit(&ring->head->inputs_applied, serial,
                          memory_order_release);
}

uint32_t stage_ring_inputs_wanted(const struct stage_ring *ring)
{
    return atomic_load_explicit(&ring->head->inputs_wanted,
                                memory_order_seq_cst);
}

struct bell *stage_ring_stage_bell(struct stage_ring *ring)
{
    return &ring->head->stage_bell;
}

/* --- consumer ------------------------------------------------------------- */

int stage_ring_attach(struct stage_ring *ring, int consumer, struct err *err)
{
    struct stage_ring_cursor *cursor = &ring->head->cursor[consumer];

    if (lock_byte(ring, LOCK_CONSUMER(consumer),
                  consumer == 0 ? "renderer" : "consumer", err) < 0)
        return -1;
    /* What others let go of meanwhile is gone. */
    const int64_t lowest = stage_ring_cursor(ring);
    if (!atomic_load_explicit(&cursor->is_attached, memory_order_acquire) &&
        lowest > load_cursor(ring, consumer))
        atomic_store_explicit(&cursor->n, lowest, memory_order_seq_cst);
    atomic_store_explicit(&cursor->is_attached, 1, memory_order_seq_cst);
    bell_ring(&ring->head->stage_bell);
    return 0;
}

void stage_ring_detach(struct stage_ring *ring, int consumer)
{
    atomic_store_explicit(&ring->head->cursor[consumer].is_attached, 0,
                          memory_order_seq_cst);
    unlock_byte(ring, LOCK_CONSUMER(consumer));
    bell_ring(&ring->head->stage_bell);
}

bool stage_ring_has_consumer(const struct stage_ring *ring, int consumer)
{
    return is_byte_locked(ring, LOCK_CONSUMER(consumer));
}

int64_t stage_ring_consumer_cursor(const struct stage_ring *ring, int consumer)
{
    return load_cursor(ring, consumer);
}

/*
 * The entry is read after the claim: from then on it cannot change.  Before
 * it, a take-back and a refill may have brought back the same word.
 */
enum ring_result stage_ring_claim(struct stage_ring *ring, int64_t n,
                                  struct stage_ref *ref)
{
    uint64_t word = load_word(ring);

    if (n < 0 || n >= stage_ring_end(ring))
        return RING_END;
    while (widen(word_frontier(word), n) <= n) {
        if (widen(word_tail(word), n) <= n)
            return RING_EMPTY;
        const uint64_t claimed =
            (word & ~(uint64_t)UINT32_MAX) | (uint32_t)(n + 1);
        if (atomic_compare_exchange_weak_explicit(&ring->head->word, &word,
                                                  claimed, memory_order_seq_cst,
                                                  memory_order_acquire)) {
            bell_ring(&ring->head->stage_bell);
            break;
        }
    }
    return copy_entry(ring, n, ref) ? RING_OK : RING_END;
}

void stage_ring_set_cursor(struct stage_ring *ring, int consumer, int64_t n)
{
    atomic_store_explicit(&ring->head->cursor[consumer].n, n,
                          memory_order_seq_cst);
    bell_ring(&ring->head->stage_bell);
}

void stage_ring_set_intake_us(struct stage_ring *ring, int64_t intake_us)
{
    atomic_store_explicit(&ring->head->intake_us, intake_us,
                          memory_order_relaxed);
}

void stage_ring_wait(struct stage_ring *ring, int64_t n, int64_t timeout_us)
{
    struct bell *bell = &ring->head->render_bell;
    const uint32_t seen = bell_arm(bell);

    if (widen(word_tail(load_word(ring)), n) <= n && stage_ring_end(ring) > n)
        futex_wait(&bell->count, seen, timeout_us);
    bell_disarm(bell);
}

/* --- director ------------------------------------------------------------- */

void stage_ring_want_inputs(struct stage_ring *ring, uint32_t serial)
{
    atomic_store_explicit(&ring->head->inputs_wanted, serial,
                          memory_order_seq_cst);
    bell_ring_always(&ring->head->stage_bell);
}

uint32_t stage_ring_inputs_applied(const struct stage_ring *ring,
                                   int64_t *cut_frame)
{
    const uint32_t serial =
        atomic_load_explicit(&ring->head->inputs_applied, memory_order_acquire);

    if (cut_frame != NULL)
        *cut_frame =
            atomic_load_explicit(&ring->head->cut_frame, memory_order_relaxed);
    return serial;
}
