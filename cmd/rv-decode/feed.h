/*
 * feed: segments one after another, each with its asset open and at its place.
 *
 * A thread reads the next line (or file argument), opens the asset, seeks and
 * decodes its first picture while the present one still plays, so that no hole
 * arises at a boundary.  It holds one item at a time and begins with the next
 * only when told that the present one nears its end.
 */
#ifndef RV_DECODE_FEED_H
#define RV_DECODE_FEED_H

#include <pthread.h>
#include <stdbool.h>

#include "err/err.h"
#include "frame/house.h"
#include "media/asset.h"
#include "plan/segment.h"

struct item {
    struct segment segment;
    struct house house;
    struct asset *asset; /* NULL: none needed, or has_failed */
    bool has_failed;
    struct err err;
    int64_t handed_us; /* monotonic, when it was ready */
};

/* clang-format off */
#define ITEM_EMPTY ((struct item){ .asset = NULL })
/* clang-format on */

struct feed {
    char **files; /* NULL: lines on standard input */
    int file_count;
    bool has_house; /* given by option, or by the first segment */
    struct house house;
    int threads;
    bool is_single; /* in service: the first line is the only one */
    bool (*is_stopping)(void);

    pthread_t thread;
    bool is_open, has_thread;
    pthread_mutex_t lock; /* protects what follows */
    pthread_cond_t changed;
    struct item item;
    bool has_item, is_over, may_open, is_quitting;

    int next; /* the thread's: file or line number */
    char *line;
    size_t line_used;
    bool is_stdin_end;
    bool has_seen; /* by feed_look(): what is read first */
    int seen_rc;
    struct segment seen;
    struct err seen_err;
};

/* Fill in the public members first; then everything else is set here. */
int feed_open(struct feed *feed, struct err *err);

/* Waits for the first line and lends its asset ("": none, or a bad line);
 * false: none will come.  Before feed_start(), and only without files. */
bool feed_look(struct feed *feed, const char **asset);

int feed_start(struct feed *feed, struct err *err);
void feed_stop(struct feed *feed);

/* The next item (gives its asset): 1; 0: no more, or asked to stop. */
int feed_next(struct feed *feed, struct item *item);

/* The present segment nears its end: the next may be opened. */
void feed_allow(struct feed *feed);

#endif
