/*
 * plan: what a channel shall play (contract, section 6), read and checked.
 *
 * A plan file is UTF-8 JSON, a text list of files, or one media file.  All
 * problems are collected, each with file, line and field; only errors make it
 * unusable, warnings (unknown fields) do not.  Bounds: 16 MiB, depth 32,
 * 100,000 segments.
 *
 * Boundaries are exact rational sums from the plan's start, rounded once to
 * the nearest frame, halves up.  After a segment of unknown length the
 * following boundaries count from its end, whatever frame that is.
 */
#ifndef RV_PLAN_PLAN_H
#define RV_PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"
#include "frame/house.h"
#include "plan/segment.h"

#define PLAN_BYTES_MAX    (16u << 20)
#define PLAN_DEPTH_MAX    32
#define PLAN_SEGMENTS_MAX 100000

struct plan_problem {
    bool is_warning;
    int line;       /* 1-based; 0: unknown */
    char field[96]; /* "segments[3].duration", "" when the whole file */
    char text[512]; /* what is wrong and what would be right */
};

struct plan_problems {
    int count;
    struct plan_problem *problem; /* owned */
};

/* A time as written: in seconds, or in house frames ("240f"). */
struct plan_time {
    bool is_given;
    bool is_frames;
    struct rational seconds;
    int64_t frames;
};

struct plan_segment {
    int line;
    bool has_id;
    struct segment segment; /* times in it are filled in by the walk */
    struct plan_time in, duration, fade_in, fade_out;
    bool has_start; /* its own wall-clock start */
    int64_t start_us;
};

struct plan {
    char path[1024];
    bool has_house;
    struct house house;
    bool has_start;
    int64_t start_us; /* UTC */
    bool is_loop;
    int count;
    struct plan_segment *segment; /* owned */
};

/* clang-format off */
#define PLAN_EMPTY ((struct plan){ .count = 0, .segment = NULL })
#define PLAN_PROBLEMS_EMPTY \
    ((struct plan_problems){ .count = 0, .problem = NULL })
/* clang-format on */

/*
 * Reads `path`.  0: usable (problems may hold warnings); -1: not, and err has
 * the first error as a sentence.  `problems` may be NULL.
 */
int plan_load(struct plan *plan, const char *path,
              struct plan_problems *problems, struct err *err);
/* The same from memory; `path` is what relative assets count from. */
int plan_parse(struct plan *plan, const char *text, size_t length,
               const char *path, struct plan_problems *problems,
               struct err *err);
/*
 * What depends on the house format in force: overlaps, a loop shorter than a
 * frame, fades longer than their segment.  plan_load() does it with the plan's
 * own house (or HOUSE_DEFAULT where no time is in frames); do it again with
 * the house in force for a plan without one.  Problems are added.
 */
int plan_check_house(const struct plan *plan, const struct house *house,
                     struct plan_problems *problems, struct err *err);
void plan_clear(struct plan *plan);
void plan_problems_clear(struct plan_problems *problems);

/* A time as a string: "90.5", "[[HH:]MM:]SS[.fff]", "N/D", "Nf". */
int plan_time_parse(struct plan_time *time, const char *text, size_t length,
                    struct err *err);
/* The same in seconds, exactly; -1: cannot be kept exactly. */
int plan_time_seconds(const struct plan_time *time, const struct house *house,
                      struct rational *seconds);

/* A plan handle (contract, section 6) into a file's path. */
int plan_find(char path[1024], const char *handle, const char *plan_dir,
              struct err *err);

/*
 * Exact seconds: whole + num/den, 0 <= num < den.  Wider than struct rational,
 * because a sum needs the common denominator of all that went into it.
 */
struct plan_sum {
    int64_t whole;
    __int128 num, den;
};

/*
 * Walks the plan's timeline segment by segment, in house frames; loops for
 * ever when the plan does.  Gaps before a segment's own start are yielded as
 * slate segments of id "gap".  A slate without a duration is the last one.  A
 * walk is plain data and may be copied, so a director can look ahead with a
 * copy.
 */
struct plan_walk {
    const struct plan *plan; /* kept */
    struct house house;      /* the one in force */
    int64_t pass;            /* times around, 0 first */
    int next;                /* segment that comes */
    bool is_open;            /* frame numbers unknown (after unknown length) */
    int64_t base_frame;      /* frame from which `sum` counts */
    struct plan_sum sum;     /* exact seconds since base_frame */
    int64_t end_frame;       /* where the former segment ended, unless open */
};

/* `house`: in force when the plan has none. */
void plan_walk_start(struct plan_walk *walk, const struct plan *plan,
                     const struct house *house);
/*
 * The next segment: 1 (segment filled in, with `first` and `frames` where
 * known), 0 at the end, -1 on error.  `index` (may be NULL): its place in the
 * plan, -1 for a gap.  The segment's `house` is the one in force.
 */
int plan_walk_next(struct plan_walk *walk, struct segment *segment, int *index,
                   struct err *err);
/* Tells where the last segment ended, when that was unknown: the walk's frame
 * numbers are known again from here.  Otherwise it does nothing. */
void plan_walk_ended(struct plan_walk *walk, int64_t end_frame);
/*
 * Goes ahead so that plan_walk_next() yields the segment that holds `frame`
 * (or the first of unknown length before it, or 0 when the plan is over by
 * then).  Passes of a loop are skipped by arithmetic.  On a fresh walk.
 */
int plan_walk_seek(struct plan_walk *walk, int64_t frame, struct err *err);

/* Hash of the resolved content (house, times, segments), for "same plan". */
uint64_t plan_hash(const struct plan *plan, const struct house *house);

#endif
