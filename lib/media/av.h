/*
 * av: the few things that everything around libav needs: errors as sentences,
 * a silent log, and libraries that are warm before the first line comes.
 */
#ifndef RV_MEDIA_AV_H
#define RV_MEDIA_AV_H

#include <stdbool.h>
#include <stdint.h>

#include "err/err.h"

/*
 * Keeps libav from writing to standard error by itself; with `is_verbose` its
 * warnings and errors go to our log.  Once a process, before any other call.
 */
void av_quiet(bool is_verbose);

/*
 * Runs the start-up work that libav does at first use (decoder tables, CPU
 * detection), so that a waiting worker is quick with its first picture.
 */
void av_warm_up(void);

/*
 * As err_errno(), for a negative AVERROR.  The kind follows from the code:
 * nothing there ERR_NOT_FOUND; no memory, disk ERR_SYSTEM; network
 * ERR_UNREACHABLE; all else ERR_INPUT.  `remedy` (may be NULL) says what would
 * be right and ends the sentence.
 */
int av_fail(struct err *err, int code, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
