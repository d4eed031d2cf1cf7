/*
 * decoders: one rv-decode a segment, each with a pool of its own.  A decoder is
 * started without knowing what it will play and waits for its segment line;
 * one such is always there, so that a switch does not wait for FFmpeg's
 * libraries to load.  Its one line on standard output says that the asset is
 * open; its end says the rest, together with what its pool tells.
 */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log/log.h"
#include "proc/spawn.h"

#define HANG_US     INT64_C(1500000) /* less than ring and pool hold */
#define LATE_US     INT64_C(2000000) /* for opening, once a frame is due */
#define HANG_FRAMES 8                /* taken from it meanwhile */
#define OPEN_US     INT64_C(10000000)

static int place_of(const struct channel *channel,
                    const struct decoder *decoder)
{
    return (int)(decoder - channel->decoder);
}

static bool is_free(const struct decoder *decoder)
{
    return decoder->pidfd < 0 && decoder->pool.head == NULL;
}

void decoders_init(struct channel *channel)
{
    for (int i = 0; i < CHANNEL_DECODERS; i++)
        channel->decoder[i] = (struct decoder){
            .pidfd = -1, .in = -1, .out = -1, .pool = POOL_EMPTY
        };
}

struct laid *find_laid(struct channel *channel, uint32_t id)
{
    struct laid *laid = NULL;

    if (id == 0)
        return NULL;
    if (channel->timeline != NULL)
        laid = timeline_find(channel->timeline, id);
    if (laid == NULL && channel->new_timeline != NULL)
        laid = timeline_find(channel->new_timeline, id);
    if (laid == NULL && channel->preview.is_there &&
        channel->preview.laid.id == id)
        laid = &channel->preview.laid;
    if (laid == NULL && channel->candidate.is_there &&
        channel->candidate.laid.id == id)
        laid = &channel->candidate.laid;
    return laid;
}

struct decoder *decoders_of_pool(struct channel *channel, uint32_t pool)
{
    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        struct decoder *decoder = &channel->decoder[i];
        if (!is_free(decoder) && decoder->pool_id == pool)
            return decoder;
    }
    return NULL;
}

static uint32_t new_pool_id(struct channel *channel)
{
    if (ring_is_open(channel))
        return stage_ring_new_pool_id(&channel->ring);
    if (channel->next_pool == 0)
        channel->next_pool = 1;
    return channel->next_pool++;
}

static int start_process(struct channel *channel, struct decoder *decoder,
                         struct err *err)
{
    char number[16], pool[1100];
    int in[2] = { -1, -1 }, out[2] = { -1, -1 };
    int rc = -1;

    snprintf(number, sizeof(number), "%d", channel->opts.channel);
    snprintf(pool, sizeof(pool), "%s/pool-%u", channel->folder,
             decoder->pool_id);
    char house[HOUSE_TEXT_SIZE];
    house_format(&channel->house, house);
    const char *sandbox = channel->opts.passed.sandbox;
    const char *const argv[] = { "rv-decode",
                                 "--run-dir",
                                 channel->run,
                                 "--channel",
                                 number,
                                 "--house",
                                 house,
                                 "--pool",
                                 pool,
                                 "--sandbox",
                                 sandbox ? sandbox : "on",
                                 NULL };
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
        err_errno(err, ERR_SYSTEM, "pipe to rv-decode");
        goto out;
    }
    const struct spawn spawn = { "rv-decode", argv, in[0], out[1], -1 };
    rc = spawn_start(&spawn, &decoder->pid, &decoder->pidfd, err);
    if (rc == 0) {
        decoder->in = in[1];
        decoder->out = out[0];
        in[1] = out[0] = -1;
        fcntl(decoder->in, F_SETFL, O_NONBLOCK);
        fcntl(decoder->out, F_SETFL, O_NONBLOCK);
    }
out:
    for (int i = 0; i < 2; i++) {
        if (in[i] >= 0)
            close(in[i]);
        if (out[i] >= 0)
            close(out[i]);
    }
    return rc;
}

static struct decoder *find_free(struct channel *channel)
{
    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        if (is_free(&channel->decoder[i]))
            return &channel->decoder[i];
    }
    return NULL;
}

static struct decoder *find_warm(struct channel *channel)
{
    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        struct decoder *decoder = &channel->decoder[i];
        if (decoder->pidfd >= 0 && decoder->state == DECODER_WARM &&
            !decoder->is_unwanted)
            return decoder;
    }
    return NULL;
}

static struct decoder *start_warm(struct channel *channel)
{
    struct decoder *decoder = find_free(channel);
    struct err err = ERR_EMPTY;

    if (decoder == NULL)
        return NULL;
    *decoder = (struct decoder){ .pidfd = -1,
                                 .in = -1,
                                 .out = -1,
                                 .pool = POOL_EMPTY,
                                 .pool_id = new_pool_id(channel),
                                 .started_us = clock_monotonic_us() };
    if (start_process(channel, decoder, &err) < 0) {
        log_error(NULL, "%s", err.text);
        return NULL;
    }
    const int place = place_of(channel, decoder);
    loop_add(channel, decoder->pidfd, EPOLLIN, SOURCE_DECODER_END, place);
    loop_add(channel, decoder->out, EPOLLIN, SOURCE_DECODER_LINE, place);
    return decoder;
}

void decoders_keep_warm(struct channel *channel)
{
    static int64_t last_us;
    const int64_t now_us = clock_monotonic_us();

    /* One a tenth of a second: one that dies at once must not become a storm.
     */
    if (find_warm(channel) != NULL || now_us - last_us < 100000)
        return;
    last_us = now_us;
    (void)start_warm(channel);
}

static int tell_segment(struct channel *channel, struct decoder *decoder,
                        const struct laid *laid, int64_t from)
{
    struct segment segment = laid->segment;

    segment.has_first = laid->has_first && laid->first >= 0;
    segment.first = segment.has_first ? laid->first : 0;
    segment.has_frames = laid->has_frames;
    segment.frames = laid->frames;
    segment.skip = from;
    segment.has_house = true;
    segment.house = channel->house;
    char *line = segment_format(&segment);
    if (line == NULL)
        return -1;
    const size_t length = strlen(line);
    line[length] = '\n';
    /* A new pipe takes 64 KiB, a line is shorter. */
    const ssize_t sent = write(decoder->in, line, length + 1);
    free(line);
    close(decoder->in);
    decoder->in = -1;
    return sent == (ssize_t)(length + 1) ? 0 : -1;
}

int decoders_start(struct channel *channel, struct laid *laid, int64_t from)
{
    struct decoder *decoder = find_warm(channel);

    if (decoder == NULL)
        decoder = start_warm(channel);
    if (decoder == NULL)
        return -1;
    decoder->laid = laid->id;
    decoder->from = from;
    decoder->state = DECODER_OPENING;
    decoder->started_us = clock_monotonic_us();
    laid_starts(laid, decoder->pool_id, from);
    /* On disk first: one that has its segment and that no new director knows
     * would play it for nobody. */
    state_write(channel);
    if (tell_segment(channel, decoder, laid, from) < 0)
        spawn_signal(decoder->pidfd, SIGKILL); /* its end does the rest */
    return 0;
}

static void open_pool(struct channel *channel, struct decoder *decoder)
{
    char path[1100];

    if (decoder->pool.head != NULL)
        return;
    snprintf(path, sizeof(path), "%s/pool-%u", channel->folder,
             decoder->pool_id);
    (void)pool_open(&decoder->pool, path, false, NULL);
}

static void became_open(struct channel *channel, struct decoder *decoder)
{
    struct laid *laid = find_laid(channel, decoder->laid);

    open_pool(channel, decoder);
    if (decoder->state != DECODER_OPENING || decoder->pool.head == NULL)
        return;
    decoder->state = DECODER_OPEN;
    channel->is_dirty = true;
    if (laid == NULL)
        return;
    laid_opened(laid, decoder->pool_id);
    preview_opened(channel, laid);
}

void decoders_line(struct channel *channel, int place, int64_t now_us)
{
    struct decoder *decoder = &channel->decoder[place];
    char buffer[2048];

    (void)now_us;
    if (decoder->out < 0)
        return;
    const ssize_t got = read(decoder->out, buffer, sizeof(buffer));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        close(decoder->out);
        decoder->out = -1;
        return;
    }
    if (memchr(buffer, '\n', (size_t)got) != NULL)
        became_open(channel, decoder);
}

/* The first frame of the segment that it did not make ready. */
static int64_t next_frame(const struct channel *channel,
                          const struct decoder *decoder,
                          const struct laid *laid)
{
    const struct pool *pool = &decoder->pool;
    struct pool_frame frame;

    if (pool->head == NULL)
        return decoder->from;
    const uint64_t ready = pool_ready(pool);
    if (ready == 0)
        return decoder->from;
    const enum pool_status status = pool_status(pool);
    if (status == POOL_ENDED || status == POOL_FAILED)
        return pool_end_index(pool);
    if (pool_read(pool, ready - 1, &frame, NULL) == 0)
        return frame.index + 1;
    /* All of it is released, so the ring has gone past it. */
    return laid->has_first ? air_tail(channel) - laid->first : decoder->from;
}

static const char *death_of(int status, bool is_known)
{
    /* The signal of a seccomp filter, which nobody else sends. */
    return is_known && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
               ? "decoder did what the sandbox forbids and was killed, "
                 "starting a new one"
               : "decoder died, starting a new one";
}

static void tell_end(struct channel *channel, struct decoder *decoder,
                     int status, bool is_known, int64_t now_us)
{
    struct laid *laid = find_laid(channel, decoder->laid);
    struct err why = ERR_EMPTY;
    enum decoder_end end = DECODER_CRASHED;

    open_pool(channel, decoder);
    if (laid == NULL)
        return;
    const bool has_pool = decoder->pool.head != NULL;
    const enum pool_status pool =
        has_pool ? pool_status(&decoder->pool) : POOL_OPENING;
    if (pool == POOL_ENDED) {
        end = DECODER_ENDED;
        if (decoder->state == DECODER_OPENING)
            became_open(channel, decoder);
    } else if (pool == POOL_FAILED) {
        pool_failure(&decoder->pool, &why);
        /* Stopped by a signal, or out of memory: no fault of the asset. */
        end = why.kind == ERR_STATE || why.kind == ERR_SYSTEM ? DECODER_CRASHED
                                                              : DECODER_FAILED;
    } else if (is_known && WIFEXITED(status) && WEXITSTATUS(status) == 1) {
        end = DECODER_FAILED;
    }
    if (why.text[0] == '\0')
        err_set(&why, ERR_INPUT, "asset %.400s: cannot be played",
                laid->segment.asset);
    const bool was_opening = decoder->state == DECODER_OPENING;
    const int64_t next = pool == POOL_ENDED
                             ? pool_end_index(&decoder->pool)
                             : next_frame(channel, decoder, laid);
    if (end != DECODER_ENDED) {
        struct log_ctx ctx = { .channel = channel->opts.channel,
                               .segment = laid->segment.id,
                               .asset = laid->segment.asset };
        stats_add(&channel->stats, STATS_RESTARTS_DECODE,
                  end == DECODER_CRASHED);
        stats_add(&channel->stats, STATS_DECODE_FAILURES,
                  end == DECODER_CRASHED);
        log_warn(&ctx, "%s",
                 end == DECODER_CRASHED ? death_of(status, is_known)
                                        : why.text);
    }
    const uint32_t laid_id = decoder->laid;
    laid_over(channel->timeline, laid, decoder->pool_id, end, next, why.text,
              now_us);
    if (was_opening && end == DECODER_FAILED)
        preview_failed(channel, find_laid(channel, laid_id), &why);
}

void decoder_close(struct channel *channel, struct decoder *decoder)
{
    (void)channel;
    if (decoder->in >= 0)
        close(decoder->in);
    if (decoder->out >= 0)
        close(decoder->out);
    if (decoder->pidfd >= 0)
        close(decoder->pidfd);
    decoder->in = decoder->out = decoder->pidfd = -1;
    pool_close(&decoder->pool);
    decoder->pool_id = 0;
    decoder->laid = 0;
}

/* In the sandbox a pool has its name before it is made: one that died first
 * leaves it. */
static void remove_unmade(const struct channel *channel,
                          const struct decoder *decoder)
{
    char path[1100];

    if (decoder->pool.head != NULL)
        return;
    snprintf(path, sizeof(path), "%s/pool-%u", channel->folder,
             decoder->pool_id);
    (void)unlink(path);
}

void decoders_ended(struct channel *channel, int place, int64_t now_us)
{
    struct decoder *decoder = &channel->decoder[place];
    int status = 0;

    if (decoder->pidfd < 0 || !spawn_has_ended(decoder->pidfd))
        return;
    if (decoder->out >= 0) /* its line may still wait in the pipe */
        decoders_line(channel, place, now_us);
    const bool is_known = spawn_reap(decoder->pidfd, &status) == 0;
    if (!channel->is_stopping && !decoder->is_unwanted &&
        decoder->state != DECODER_WARM)
        tell_end(channel, decoder, status, is_known, now_us);
    remove_unmade(channel, decoder);
    decoder_close(channel, decoder);
    channel->is_dirty = true;
}

static bool is_of_use(struct channel *channel, const struct decoder *decoder,
                      int64_t position)
{
    const uint32_t pool = decoder->pool_id;

    if (decoder->state == DECODER_WARM)
        return true;
    if (timeline_uses(channel->timeline, pool, position))
        return true;
    if (channel->new_timeline != NULL &&
        timeline_uses(channel->new_timeline, pool, 0))
        return true;
    return (channel->preview.is_there &&
            channel->preview_state != PREVIEW_LIVE &&
            channel->preview.laid.id == decoder->laid) ||
           (channel->candidate.is_there &&
            channel->candidate.laid.id == decoder->laid);
}

void decoders_sweep(struct channel *channel, int64_t position)
{
    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        struct decoder *decoder = &channel->decoder[i];
        if (decoder->pidfd < 0 || decoder->is_unwanted ||
            is_of_use(channel, decoder, position))
            continue;
        decoder->is_unwanted = true;
        spawn_signal(decoder->pidfd, SIGKILL); /* nothing of it is kept */
        timeline_forget_pool(channel->timeline, decoder->pool_id, position);
    }
}

/*
 * One that waits for room makes a frame ready as soon as some are taken from
 * it; one that is read from a dead disk, or stopped, does not.  While nothing
 * is taken nobody can tell, so time counts from the first that is.
 */
static bool does_hang(struct decoder *decoder, int64_t now_us)
{
    const uint64_t ready = pool_ready(&decoder->pool);
    const uint64_t released = pool_released(&decoder->pool);

    if (ready != decoder->seen_ready || decoder->progress_us == 0 ||
        (released == decoder->seen_released && released != ready)) {
        decoder->seen_ready = ready;
        decoder->seen_released = released;
        decoder->progress_us = now_us;
    }
    return now_us - decoder->progress_us > HANG_US &&
           (released - decoder->seen_released >= HANG_FRAMES ||
            released == ready) &&
           pool_status(&decoder->pool) == POOL_RUNNING;
}

/* An asset that does not open though its first frame is due.  Each time it may
 * take twice as long: a slow server must not be given up for ever. */
static bool does_not_open(struct channel *channel,
                          const struct decoder *decoder, int64_t now_us)
{
    const struct laid *laid = find_laid(channel, decoder->laid);
    const int64_t age_us = now_us - decoder->started_us;

    if (laid == NULL)
        return false;
    if (preview_is_laid(channel, laid) || !laid->has_first)
        return age_us > OPEN_US;
    const int shift = laid->failures < 3 ? laid->failures : 3;
    return age_us > LATE_US << shift &&
           (age_us > OPEN_US ||
            air_tail(channel) > laid->first + decoder->from);
}

/* What stopped one may have stopped the one that waits: none in its place
 * could tell for another two seconds. */
static void discard_warm(struct channel *channel)
{
    struct decoder *warm = find_warm(channel);

    if (warm == NULL)
        return;
    warm->is_unwanted = true;
    spawn_signal(warm->pidfd, SIGKILL);
}

void decoders_watch(struct channel *channel, int64_t now_us)
{
    if (watch_is_patient(&channel->watch, now_us))
        return;
    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        struct decoder *decoder = &channel->decoder[i];
        if (decoder->pidfd < 0 || decoder->is_unwanted ||
            decoder->state == DECODER_WARM)
            continue;
        const bool is_hanging = decoder->state == DECODER_OPENING
                                    ? does_not_open(channel, decoder, now_us)
                                    : does_hang(decoder, now_us);
        if (!is_hanging)
            continue;
        log_warn(NULL, "rv-decode, process %d, hangs, killed",
                 (int)decoder->pid);
        decoder->progress_us = now_us;
        decoder->started_us = now_us;
        spawn_signal(decoder->pidfd, SIGKILL);
        discard_warm(channel);
    }
}

void decoders_kill_all(struct channel *channel, int number)
{
    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        struct decoder *decoder = &channel->decoder[i];
        if (decoder->pidfd < 0)
            continue;
        decoder->is_unwanted = true;
        spawn_signal(decoder->pidfd, number);
    }
}

bool decoders_any(const struct channel *channel)
{
    for (int i = 0; i < CHANNEL_DECODERS; i++) {
        if (channel->decoder[i].pidfd >= 0)
            return true;
    }
    return false;
}

void decoders_adopt(struct channel *channel, const struct decoder *found)
{
    struct decoder *decoder = find_free(channel);

    if (decoder == NULL)
        return;
    *decoder = *found;
    open_pool(channel, decoder);
    /* Whose pool is not locked is dead, and its pid may be anybody's. */
    if (decoder->pool.head == NULL || !pool_has_producer(&decoder->pool)) {
        const int64_t now_us = clock_monotonic_us();
        tell_end(channel, decoder, 0, false, now_us);
        remove_unmade(channel, decoder);
        decoder_close(channel, decoder);
        return;
    }
    decoder->pidfd = spawn_watch(decoder->pid);
    if (decoder->pidfd >= 0)
        loop_add(channel, decoder->pidfd, EPOLLIN, SOURCE_DECODER_END,
                 place_of(channel, decoder));
}
