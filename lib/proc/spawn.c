/* spawn: posix_spawn with everything that is easily forgotten. */
#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/string.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

extern char **environ;

void spawn_find(char *path, size_t size, const char *program)
{
    char self[1024];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    strlcpy(path, program, size);
    if (length <= 0)
        return;
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return;
    slash[1] = '\0';
    char beside[1200];
    snprintf(beside, sizeof(beside), "%s%s", self, program);
    if (access(beside, X_OK) == 0)
        strlcpy(path, beside, size);
}

static int set_files(posix_spawn_file_actions_t *files,
                     const struct spawn *spawn)
{
    int rc = 0;

    if (spawn->in >= 0)
        rc |= posix_spawn_file_actions_adddup2(files, spawn->in, 0);
    else
        rc |= posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY,
                                               0);
    if (spawn->out >= 0)
        rc |= posix_spawn_file_actions_adddup2(files, spawn->out, 1);
    else
        rc |= posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY,
                                               0);
    if (spawn->keep >= 0)
        rc |= posix_spawn_file_actions_adddup2(files, spawn->keep, 3);
    rc |= posix_spawn_file_actions_addclosefrom_np(files,
                                                   spawn->keep >= 0 ? 4 : 3);
    return rc;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int rc = 0;

    sigemptyset(&none);
    sigfillset(&all);
    rc |= posix_spawnattr_setsigmask(attributes, &none);
    rc |= posix_spawnattr_setsigdefault(attributes, &all);
    rc |= posix_spawnattr_setpgroup(attributes, 0);
    rc |= posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
                                                   POSIX_SPAWN_SETSIGDEF |
                                                   POSIX_SPAWN_SETPGROUP);
    return rc;
}

int spawn_start(const struct spawn *spawn, pid_t *pid, int *pidfd,
                struct err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char path[1200];

    spawn_find(path, sizeof(path), spawn->program);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    int rc = set_files(&files, spawn);
    rc |= set_attributes(&attributes);
    if (rc == 0)
        rc = posix_spawnp(pid, path, &files, &attributes,
                          (char *const *)spawn->argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (rc != 0) {
        errno = rc;
        return err_errno(err, rc == ENOENT ? ERR_INPUT : ERR_SYSTEM,
                         "%s cannot be started; is it installed beside rv-ctl",
                         spawn->program);
    }
    *pidfd = spawn_watch(*pid);
    if (*pidfd < 0) {
        err_errno(err, ERR_SYSTEM, "%s: pidfd", spawn->program);
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
        return -1;
    }
    return 0;
}

int spawn_watch(pid_t pid)
{
    if (pid <= 0)
        return -1;
    return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
}

bool spawn_has_ended(int pidfd)
{
    struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

    return poll(&poll_fd, 1, 0) == 1;
}

void spawn_signal(int pidfd, int number)
{
    if (pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
}

int spawn_reap(int pidfd, int *status)
{
    siginfo_t info = { 0 };

    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0 ||
        info.si_pid == 0)
        return -1;
    /* As waitpid() would tell it. */
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
                                         : info.si_status & 0x7f;
    return 0;
}
