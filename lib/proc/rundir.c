/*
 * rundir: finds and makes the folders of a running system.  A folder in a
 * place that others can write to is believed only when it is ours, and only
 * files with names of ours are ever removed: a run folder is an option, and
 * somebody will give their home folder.
 */
#include "proc/rundir.h"

#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES   1000
#define LOCK_WAIT_NS 1000000

/* Everything that our programs put into a channel's folder. */
static const char *const OUR_FILES[] = {
    "ring",     "ts",       "stats",   "inputs",     "control", "control.lock",
    "port",     "pool-*",   "*.proc",  "*.new",      "plan",    "plan.json",
    "segments", "director", "state",   "state.json", "preview", "asrun",
    "as-run",   "format",   "channel", "*.log",      "*.sock",  "*.tmp",
};

static int make_folder(const char *path, struct err *err)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return err_errno(err, ERR_SYSTEM, "folder %s: cannot be made", path);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return err_set(err, ERR_INPUT, "%s: is no folder; give another run folder",
                   path);
}

/* As mkdir -p. */
static int make_folders(const char *path, struct err *err)
{
    char part[RUNDIR_SIZE];

    strlcpy(part, path, sizeof(part));
    for (char *slash = strchr(part + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (make_folder(part, err) < 0)
            return -1;
        *slash = '/';
    }
    return make_folder(part, err);
}

/* In a place where everybody may make folders: is this one ours alone? */
static int check_private(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return err_errno(err, ERR_SYSTEM, "folder %s", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return err_set(err, ERR_STATE,
                       "folder %s: is not ours alone; remove it or give "
                       "--run-dir",
                       path);
    }
    return 0;
}

static int use_folder(char path[RUNDIR_SIZE], const char *wanted,
                      bool is_shared_place, struct err *err)
{
    char real[PATH_MAX];

    if (strlen(wanted) >= RUNDIR_SIZE)
        return err_set(err, ERR_INPUT,
                       "run folder %.40s...: longer than %d bytes; give a "
                       "shorter path",
                       wanted, RUNDIR_SIZE - 1);
    if (make_folders(wanted, err) < 0)
        return -1;
    if (is_shared_place && check_private(wanted, err) < 0)
        return -1;
    if (access(wanted, W_OK | X_OK) < 0)
        return err_errno(err, ERR_STATE, "run folder %s: cannot be written",
                         wanted);
    if (realpath(wanted, real) == NULL)
        return err_errno(err, ERR_SYSTEM, "run folder %s", wanted);
    if (strlcpy(path, real, RUNDIR_SIZE) >= RUNDIR_SIZE)
        return err_set(err, ERR_INPUT,
                       "run folder %.40s...: longer than %d bytes; give a "
                       "shorter path",
                       real, RUNDIR_SIZE - 1);
    return 0;
}

int rundir_find(char path[RUNDIR_SIZE], const char *option, struct err *err)
{
    char candidate[RUNDIR_SIZE];
    const char *environment = getenv("RETROVUE_RUN_DIR");
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (option != NULL && option[0] == '\0')
        return err_set(err, ERR_USAGE,
                       "--run-dir: is empty; give the path of a folder");
    if (option != NULL)
        return use_folder(path, option, false, err);
    if (environment != NULL && environment[0] != '\0' &&
        use_folder(path, environment, false, NULL) == 0)
        return 0;
    if (use_folder(path, "/run/retrovue", false, NULL) == 0)
        return 0;
    if (runtime != NULL && runtime[0] == '/') {
        snprintf(candidate, sizeof(candidate), "%s/retrovue", runtime);
        if (use_folder(path, candidate, false, NULL) == 0)
            return 0;
    }
    snprintf(candidate, sizeof(candidate), "/tmp/retrovue-%u",
             (unsigned)geteuid());
    return use_folder(path, candidate, true, err);
}

static bool is_in_memory(const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return false;
    return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
}

/* /dev/shm/retrovue-UID-HASH: where the folders of a run folder on a disk lie.
 */
static void memory_folder(char path[64], const char *run)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    for (const char *c = run; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    snprintf(path, 64, "/dev/shm/retrovue-%u-%016" PRIx64, (unsigned)geteuid(),
             hash);
}

static int check_name(const char *name, struct err *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strlen(name);

    if (length == 0 || length > 64 || name[0] == '.' ||
        strspn(name, allowed) != length) {
        return err_set(err, ERR_INPUT,
                       "name '%.64s': give 1 to 64 letters, digits, '.', '_' "
                       "or '-', not beginning with '.'",
                       name);
    }
    return 0;
}

static int join(char path[RUNDIR_SIZE], const char *run, const char *name,
                struct err *err)
{
    if (check_name(name, err) < 0)
        return -1;
    if (snprintf(path, RUNDIR_SIZE, "%s/%s", run, name) >= RUNDIR_SIZE)
        return err_set(err, ERR_INPUT, "run folder %.40s...: is too long", run);
    return 0;
}

/* <run>/<name> as a link to a folder in memory; what is there is kept. */
static int make_linked(const char *path, const char *run, const char *name,
                       struct err *err)
{
    char top[64];
    char target[160];
    char there[160];

    memory_folder(top, run);
    snprintf(target, sizeof(target), "%s/%s", top, name);
    if (!is_in_memory("/dev/shm"))
        return err_set(err, ERR_STATE,
                       "%s: lies on a disk and /dev/shm is no tmpfs; give a "
                       "--run-dir on a tmpfs",
                       run);
    if (make_folder(top, err) < 0 || check_private(top, err) < 0 ||
        make_folder(target, err) < 0)
        return -1;
    if (symlink(target, path) == 0)
        return 0;
    const ssize_t n = readlink(path, there, sizeof(there) - 1);
    if (n < 0) {
        rmdir(top);
        return err_set(err, ERR_STATE,
                       "%s: is a folder on a disk; remove it or give a "
                       "--run-dir on a tmpfs",
                       path);
    }
    there[n] = '\0';
    if (strcmp(there, target) == 0)
        return 0;
    if (unlink(path) < 0 || symlink(target, path) < 0)
        return err_errno(err, ERR_SYSTEM, "link %s: cannot be made", path);
    return 0;
}

int rundir_folder(char path[RUNDIR_SIZE], const char *run, const char *name,
                  bool create, struct err *err)
{
    struct stat st;

    if (join(path, run, name, err) < 0)
        return -1;
    if (!create) {
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return 0;
        return err_set(err, ERR_NOT_FOUND,
                       "%s: no such folder; nothing of that name runs here",
                       path);
    }
    if (is_in_memory(run))
        return make_folder(path, err);
    const int lock = rundir_lock(run, err);
    if (lock < 0)
        return -1;
    const int rc = make_linked(path, run, name, err);
    close(lock);
    return rc;
}

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < sizeof(OUR_FILES) / sizeof(OUR_FILES[0]); i++) {
        if (fnmatch(OUR_FILES[i], name, 0) == 0)
            return true;
    }
    return false;
}

static int remove_files(const char *path, struct err *err)
{
    DIR *folder = opendir(path);

    if (folder == NULL)
        return errno == ENOENT ? 0
                               : err_errno(err, ERR_SYSTEM, "folder %s", path);
    for (const struct dirent *entry = readdir(folder); entry != NULL;
         entry = readdir(folder)) {
        if (is_ours(entry->d_name))
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    return 0;
}

int rundir_remove(const char *run, const char *name, struct err *err)
{
    char path[RUNDIR_SIZE];
    char real[PATH_MAX];
    struct stat st;

    if (join(path, run, name, err) < 0 || remove_files(path, err) < 0)
        return -1;
    if (lstat(path, &st) < 0)
        return 0; /* nothing there */
    if (S_ISLNK(st.st_mode)) {
        if (realpath(path, real) != NULL && rmdir(real) < 0)
            return err_errno(err, ERR_STATE, "folder %s: cannot be removed",
                             real);
        unlink(path);
        rundir_tidy(run);
        return 0;
    }
    if (rmdir(path) < 0)
        return err_errno(err, ERR_STATE, "folder %s: cannot be removed", path);
    return 0;
}

void rundir_tidy(const char *run)
{
    char top[64];

    memory_folder(top, run);
    rmdir(top);
}

int rundir_lock(const char *folder, struct err *err)
{
    const struct timespec pause = { .tv_nsec = LOCK_WAIT_NS };
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, ERR_UNREACHABLE, "folder %s", folder);
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        nanosleep(&pause, NULL);
    }
    close(fd);
    return err_set(err, ERR_STATE,
                   "folder %s: another process keeps it locked; is it stopped?",
                   folder);
}

int path_absolute(char *out, size_t size, const char *path, struct err *err)
{
    char cwd[PATH_MAX];
    int n;

    if (path[0] == '/' || access(path, F_OK) < 0) {
        n = (int)strlcpy(out, path, size);
    } else {
        if (getcwd(cwd, sizeof(cwd)) == NULL)
            return err_errno(err, ERR_SYSTEM, "working folder");
        n = snprintf(out, size, "%s/%s", cwd, path);
    }
    if (n < 0 || (size_t)n >= size)
        return err_set(err, ERR_INPUT, "path %.64s...: longer than %zu bytes",
                       path, size - 1);
    return 0;
}
