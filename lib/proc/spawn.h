/*
 * spawn: starting one of our programs, and watching a process that is not a
 * child.
 *
 * A program is found beside our own executable, else in PATH, so that an
 * uninstalled build runs itself.  A child gets exactly the descriptors it is
 * given, no blocked signal, no ignored signal and a process group of its own
 * (Ctrl-C in a terminal reaches only who started it; that one ends the rest in
 * order).  Whoever spawns watches the pidfd: readable means ended.
 */
#ifndef RV_PROC_SPAWN_H
#define RV_PROC_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "err/err.h"

struct spawn {
    const char *program;     /* "rv-stage" */
    const char *const *argv; /* argv[0] included, NULL at the end */
    int in;                  /* becomes 0; -1: /dev/null */
    int out;                 /* becomes 1; -1: /dev/null */
    int keep;                /* becomes 3; -1: none */
};

/* Path of a program of ours: beside /proc/self/exe if it is there, else the
 * bare name (PATH). */
void spawn_find(char *path, size_t size, const char *program);

/* Starts it; *pidfd is the caller's, with close-on-exec.  ERR_SYSTEM, or
 * ERR_NOT_FOUND when there is no such program. */
int spawn_start(const struct spawn *spawn, pid_t *pid, int *pidfd,
                struct err *err);

/* A pidfd of any process, -1 when there is none (any more). */
int spawn_watch(pid_t pid);

/* True once the process of this pidfd has ended (a zombie counts). */
bool spawn_has_ended(int pidfd);

/* Sends a signal to exactly this process; an ended one is no error. */
void spawn_signal(int pidfd, int number);

/*
 * How it ended: 0 and *status as of waitpid() for a child, which is reaped; -1
 * when it is nobody's child of ours (adopted) or still lives.
 */
int spawn_reap(int pidfd, int *status);

#endif
