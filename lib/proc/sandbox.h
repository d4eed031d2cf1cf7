/*
 * sandbox: a process that reads hostile data gives up what it does not need.
 *
 * Three locks, one behind the other, and none can be opened again:
 *
 *   no_new_privs   what it executes gains nothing
 *   Landlock       it opens the files that are named here, for reading, and
 *                  nothing else on any file system; connects and signals
 *                  nowhere (where the kernel knows that much)
 *   seccomp        it makes the system calls that decoding needs.  What
 *                  libraries try and do without fails with EPERM; what only an
 *                  intruder wants (execve, fork, ptrace, a socket, a signal to
 *                  somebody else) kills the process with SIGSYS
 *
 * What is open already stays usable, within the calls that are left: files are
 * read, standard output and error written, mappings used.  So whoever locks
 * opens first.
 */
#ifndef RV_PROC_SANDBOX_H
#define RV_PROC_SANDBOX_H

#include <stdbool.h>

#include "err/err.h"

enum sandbox_mode {
    SANDBOX_OFF,
    SANDBOX_ON,    /* as far as the kernel has it, with a warning */
    SANDBOX_STRICT /* in full, or not at all */
};
/* Their words, in this order, for cli_choice(). */
#define SANDBOX_WORDS "off|on|strict"

struct sandbox {
    const char *const *files; /* to be read: paths */
    int count;
    bool has_network; /* URLs are read */
    int grows; /* a descriptor whose file may still be allocated, or -1 */
};

/*
 * Locks this process for good.  Call while it has one thread: those that come
 * later inherit it all, those that are there would not inherit Landlock.
 *
 * A path opens that file alone, whatever the name leads to later; one that
 * names several files (a playlist, a numbered sequence) all in its folder and
 * below.  The network is TCP and UDP from clients, and names; still no socket
 * of the file system, and no file but what resolving names reads.
 *
 * -1: the kernel lacks something, `err` says what that means (ERR_SYSTEM); all
 * the rest is locked.  Programs that are built with a sanitizer or for
 * coverage are not locked at all: these need files and ptrace at the end.
 */
int sandbox_lock(const struct sandbox *sandbox, struct err *err);

/* False in such a build. */
bool sandbox_is_built(void);

/* Its parts: files by Landlock, system calls (of all threads) by seccomp. */
int sandbox_lock_files(const struct sandbox *sandbox, struct err *err);
int sandbox_lock_calls(const struct sandbox *sandbox, struct err *err);

#endif
