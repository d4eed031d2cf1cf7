/*
 * rundir: where everything of a running system lies.
 *
 *   <run>/clock  <run>/playout.sock  <run>/<channel>/{ring,ts,stats,inputs,
 *   control,port,pool-N,NAME.proc}
 *
 * <run> is --run-dir, else $RETROVUE_RUN_DIR, /run/retrovue,
 * $XDG_RUNTIME_DIR/retrovue, /tmp/retrovue-UID: the first that can be written
 * (contract, section 6).  Pools and rings must lie on a tmpfs: where <run> is
 * none, <run>/<channel> is a link to /dev/shm/retrovue-UID-HASH/<channel>.
 */
#ifndef RV_PROC_RUNDIR_H
#define RV_PROC_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err/err.h"

#define RUNDIR_SIZE 512 /* longest path of a run folder, NUL included */

/* The run folder, made (0700) when missing; absolute.  `option` may be NULL. */
int rundir_find(char path[RUNDIR_SIZE], const char *option, struct err *err);

/* <run>/<name>, made with its tmpfs folder when `create`; `name` is a
 * channel's number or a ring's name: [A-Za-z0-9._-], no leading dot. */
int rundir_folder(char path[RUNDIR_SIZE], const char *run, const char *name,
                  bool create, struct err *err);

/* Removes the files of ours in that folder, the folder, and its link. */
int rundir_remove(const char *run, const char *name, struct err *err);

/* Removes <run>'s tmpfs folder when it is empty.  */
void rundir_tidy(const char *run);

/*
 * Locks `folder` against everybody else who calls this, so that "is it there?
 * else make it" is one step.  Gives a descriptor whose close() unlocks, or -1
 * (ERR_STATE when somebody held it for a second).
 */
int rundir_lock(const char *folder, struct err *err);

/* An existing relative path made absolute; anything else copied as it is. */
int path_absolute(char *out, size_t size, const char *path, struct err *err);

#endif
