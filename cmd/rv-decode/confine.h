/*
 * confine: rv-decode goes into the sandbox.
 *
 * The assets must be known: they are named as arguments, or the first line of
 * standard input is waited for.  The pool's file is made before, empty, since
 * neither a name can be made in there nor one be removed.
 */
#ifndef RV_DECODE_CONFINE_H
#define RV_DECODE_CONFINE_H

#include "err/err.h"
#include "feed.h"
#include "proc/sandbox.h"
#include "sink.h"

/*
 * Before feed_start().  `pool_path` "": none is made.  0: all is as `mode`
 * wants it, or there is no segment; -1: cannot be so, and nothing may be
 * decoded.
 */
int confine(enum sandbox_mode mode, struct feed *feed, struct sink *sink,
            const char *pool_path, int32_t channel, struct err *err);

/* The same for reading alone. */
int confine_reader(enum sandbox_mode mode, char *const *files, int count,
                   struct err *err);

#endif
