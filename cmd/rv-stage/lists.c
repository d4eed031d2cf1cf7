/*
 * lists: where lists of inputs come from.  In a shell each line of standard
 * input is one, read by a thread of its own, since a futex and a pipe cannot
 * be waited for at once; in service it is the file `inputs`, read again when
 * the ring says that it was renewed.  A wrong list never replaces a right one.
 */
#include "stage.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES (2u << 20)

struct lists {
    pthread_t thread;
    bool is_started;
    struct bell bell;
    char *line; /* the reader's; here so that it is freed */
    size_t size;
    pthread_mutex_t lock; /* what follows, between this process's threads */
    struct inputs newest;
    bool is_new;
    bool has_any;
    bool is_over; /* standard input ended */
    bool is_wrong;
    struct err err;   /* of the first line */
    bool is_end_told; /* main thread only */
};

static void take_line(struct stage *stage, const char *line, size_t length,
                      long number)
{
    struct lists *lists = stage->lists;
    struct inputs inputs = INPUTS_EMPTY;
    struct err err = ERR_EMPTY;
    const int rc = inputs_parse(&inputs, line, length, &err);

    if (rc < 0)
        err_prefix(&err, "standard input, line %ld", number);
    pthread_mutex_lock(&lists->lock);
    if (rc < 0 && !lists->has_any) {
        lists->is_wrong = true;
        lists->err = err;
    } else if (rc == 0) {
        inputs_clear(&lists->newest);
        lists->newest = inputs;
        lists->is_new = true;
        lists->has_any = true;
    }
    const bool is_kept = lists->has_any;
    pthread_mutex_unlock(&lists->lock);
    if (rc < 0 && is_kept)
        log_error(&stage->log, "%s; the list before stays", err.text);
    bell_ring_always(&lists->bell);
}

static bool is_blank(const char *line, size_t length)
{
    return strspn(line, " \t\r\n") >= length;
}

/* One line of at most LINE_MAX_BYTES; what is longer is cut, and refused. */
static ssize_t read_line(char **line, size_t *size)
{
    size_t used = 0;
    int c;

    while ((c = getc_unlocked(stdin)) != EOF && c != '\n') {
        if (used + 2 > *size) {
            const size_t want = *size ? *size * 2 : 4096;
            char *more = realloc(*line, want);
            if (more == NULL)
                return -1;
            *line = more;
            *size = want;
        }
        if (used < LINE_MAX_BYTES)
            (*line)[used++] = (char)c;
    }
    if (c == EOF && used == 0)
        return -1;
    if (*line != NULL)
        (*line)[used] = '\0';
    return (ssize_t)used;
}

static void *read_stdin(void *arg)
{
    struct stage *stage = arg;
    struct lists *lists = stage->lists;
    ssize_t length;

    for (long number = 1; (length = read_line(&lists->line, &lists->size)) >= 0;
         number++) {
        if (length > 0 && !is_blank(lists->line, (size_t)length))
            take_line(stage, lists->line, (size_t)length, number);
    }
    pthread_mutex_lock(&lists->lock);
    lists->is_over = true;
    pthread_mutex_unlock(&lists->lock);
    bell_ring_always(&lists->bell);
    return NULL;
}

int lists_open(struct stage *stage, struct err *err)
{
    sigset_t all, before;

    stage->lists = calloc(1, sizeof(*stage->lists));
    if (stage->lists == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for the list of inputs");
    pthread_mutex_init(&stage->lists->lock, NULL);
    if (stage->is_service)
        return 0;
    /* Signals are for the main thread, whose waits they end. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc =
        pthread_create(&stage->lists->thread, NULL, read_stdin, stage);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_set(err, ERR_SYSTEM, "standard input: no thread to read it");
    stage->lists->is_started = true;
    return 0;
}

void lists_close(struct stage *stage)
{
    struct lists *lists = stage->lists;

    if (lists == NULL)
        return;
    if (lists->is_started) {
        /* It may sit in read(); nothing of it is needed any more. */
        pthread_cancel(lists->thread);
        pthread_join(lists->thread, NULL);
    }
    inputs_clear(&lists->newest);
    free(lists->line);
    free(lists);
    stage->lists = NULL;
}

struct bell *lists_bell(struct stage *stage)
{
    return stage->is_service ? NULL : &stage->lists->bell;
}

/* Standard input ended: the list in force is the last, whatever it says. */
static int end_of_lists(struct stage *stage, struct inputs *inputs,
                        struct err *err)
{
    struct lists *lists = stage->lists;

    if (!lists->has_any)
        return err_set(err, ERR_INPUT,
                       "standard input ended without a list of inputs; give "
                       "lines as rv-decode writes them");
    if (lists->is_end_told || stage->timeline.inputs.is_end)
        return 0;
    lists->is_end_told = true;
    char *text = inputs_format(&stage->timeline.inputs);
    if (text == NULL || inputs_parse(inputs, text, strlen(text), err) < 0) {
        free(text);
        return err_set(err, ERR_SYSTEM, "no memory for the list of inputs");
    }
    free(text);
    inputs->is_end = true;
    return 1;
}

static int next_of_shell(struct stage *stage, struct inputs *inputs,
                         struct err *err)
{
    struct lists *lists = stage->lists;
    int rc = 0;

    pthread_mutex_lock(&lists->lock);
    const bool is_over = lists->is_over;
    if (lists->is_wrong) {
        *err = lists->err;
        rc = -1;
    } else if (lists->is_new) {
        *inputs = lists->newest;
        lists->newest = INPUTS_EMPTY;
        lists->is_new = false;
        rc = 1;
    }
    pthread_mutex_unlock(&lists->lock);
    return rc == 0 && is_over ? end_of_lists(stage, inputs, err) : rc;
}

static int next_of_service(struct stage *stage, struct inputs *inputs)
{
    const uint32_t wanted = stage_ring_inputs_wanted(&stage->ring);
    struct err err = ERR_EMPTY;
    char path[1024 + 8];

    if (stage->has_list && wanted == stage->read_serial)
        return 0;
    /* Nothing in force yet: look on each tick, the director may be late. */
    if (!stage->has_list && wanted == stage->read_serial && !stage->is_tick)
        return 0;
    snprintf(path, sizeof(path), "%s/inputs", stage->folder);
    if (inputs_read_file(inputs, path, &err) == 0) {
        stage->read_serial = wanted;
        return 1;
    }
    if (wanted != stage->read_serial)
        log_error(&stage->log, "%s; the list before stays", err.text);
    stage->read_serial = wanted;
    return 0;
}

int lists_next(struct stage *stage, struct inputs *inputs, struct err *err)
{
    *inputs = INPUTS_EMPTY;
    return stage->is_service ? next_of_service(stage, inputs)
                             : next_of_shell(stage, inputs, err);
}
