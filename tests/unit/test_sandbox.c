/* sandbox: each row is a process that locks itself and then tries something;
 * what it gets is what the manual says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <netinet/in.h>

#include "proc/sandbox.h"

#define KILLED   (-SIGSYS)
#define NOT_DONE 250 /* this kernel, or this build, has none */

static char folder[] = "/tmp/rv-sandbox.XXXXXX";
static char mine[64], other[64], list[64], below[64], outside[64];
static int pool = -1, stats = -1;

/* What came of it: 0, or errno. */
static int said(long rc)
{
    return rc < 0 ? errno : 0;
}

static int opened(const char *path, int flags)
{
    return said(open(path, flags, 0600));
}

/* --- files ---------------------------------------------------------------- */

static int read_mine(void)
{
    char text[8];
    const int fd = open(mine, O_RDONLY | O_CLOEXEC);

    return fd < 0 || read(fd, text, 4) != 4 || lseek(fd, 0, SEEK_END) != 5 ? EIO
                                                                           : 0;
}

static int read_other(void)
{
    return opened(other, O_RDONLY);
}

static int read_passwords(void)
{
    return opened("/etc/passwd", O_RDONLY);
}

static int read_own_memory(void)
{
    return opened("/proc/self/mem", O_RDONLY);
}

static int list_folder(void)
{
    return opened(folder, O_RDONLY | O_DIRECTORY);
}

static int write_mine(void)
{
    return opened(mine, O_WRONLY);
}

static int cut_mine(void)
{
    return opened(mine, O_RDONLY | O_TRUNC);
}

static int make_new(void)
{
    return opened(outside, O_RDONLY | O_CREAT);
}

static int make_nameless(void)
{
    return opened(folder, O_RDWR | O_TMPFILE);
}

static int open_anew(void)
{
    const uint64_t how[3] = { O_RDONLY, 0, 0 };

    return said(syscall(SYS_openat2, AT_FDCWD, other, how, sizeof(how)));
}

static int remove_mine(void)
{
    return said(unlink(mine));
}

static int move_mine(void)
{
    return said(rename(mine, other));
}

static int link_mine(void)
{
    return said(link(mine, outside));
}

static int make_folder(void)
{
    return said(mkdir(outside, 0700));
}

static int open_to_all(void)
{
    return said(chmod(mine, 0777));
}

static int open_pool_to_all(void)
{
    return said(fchmod(pool, 0777));
}

static int read_list(void)
{
    return opened(list, O_RDONLY);
}

static int read_below(void)
{
    return opened(below, O_RDONLY);
}

/* --- descriptors ---------------------------------------------------------- */

static int grow_pool(void)
{
    return posix_fallocate(pool, 0, 8192);
}

static int map_pool(void)
{
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, pool, 0);

    if (map == MAP_FAILED)
        return errno;
    map[0] = 1;
    return 0;
}

static int cut_pool(void)
{
    return said(ftruncate(pool, 0));
}

static int punch_pool(void)
{
    return said(
        fallocate(pool, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
}

static int grow_stats(void)
{
    return said(fallocate(stats, 0, 0, 8192));
}

static int cut_stats(void)
{
    return said(ftruncate(stats, 0));
}

static int write_stats(void)
{
    return said(write(stats, "x", 1));
}

static int speak(void)
{
    return said(write(STDERR_FILENO, "", 0));
}

/* A signal to whoever is named, when the descriptor is ready. */
static int own_stats(void)
{
    return said(fcntl(stats, F_SETOWN, getppid()));
}

static int type_ahead(void)
{
    return said(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

/* --- processes ------------------------------------------------------------ */

static void *nothing(void *opaque)
{
    return opaque;
}

static int start_thread(void)
{
    pthread_t thread;
    const int rc = pthread_create(&thread, NULL, nothing, NULL);

    return rc != 0 ? rc : pthread_join(thread, NULL);
}

static void *read_in_thread(void *got)
{
    *(int *)got = read_other();
    return NULL;
}

static int read_other_in_thread(void)
{
    pthread_t thread;
    int got = 0;

    pthread_create(&thread, NULL, read_in_thread, &got);
    pthread_join(thread, NULL);
    return got;
}

static int do_fork(void)
{
    return said(fork());
}

static int do_vfork(void)
{
    return said(syscall(SYS_clone, SIGCHLD | CLONE_VM | CLONE_VFORK, NULL, NULL,
                        NULL, NULL));
}

static int do_clone3(void)
{
    return said(syscall(SYS_clone3, NULL, 0));
}

static int do_exec(void)
{
    return said(execl("/bin/true", "true", NULL));
}

static int do_spawn(void)
{
    char name[] = "true", *argv[] = { name, NULL };
    pid_t pid;

    return posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL);
}

static int kill_parent(void)
{
    return said(kill(getppid(), 0));
}

static int kill_all(void)
{
    return said(kill(-1, 0));
}

static int kill_self(void)
{
    return said(kill(getpid(), 0));
}

static int kill_thread_of_parent(void)
{
    return said(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int trace_parent(void)
{
    return said(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int read_parent(void)
{
    return said(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int hold_parent(void)
{
    return said(syscall(SYS_pidfd_open, getppid(), 0));
}

static int limit_parent(void)
{
    const struct rlimit none = { 0, 0 };

    return said(prlimit(getppid(), RLIMIT_NOFILE, &none, NULL));
}

static int know_limit(void)
{
    struct rlimit limit;

    return said(getrlimit(RLIMIT_STACK, &limit));
}

static int crash(void)
{
    abort();
}

static int name_thread(void)
{
    return said(prctl(PR_SET_NAME, "decoder"));
}

static int lift_filter(void)
{
    return said(prctl(PR_SET_SECCOMP, 0, NULL));
}

/* --- memory and kernel ---------------------------------------------------- */

static int run_written(void)
{
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return map == MAP_FAILED ? errno : 0;
}

static int run_later(void)
{
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return said(mprotect(map, 4096, PROT_READ | PROT_EXEC));
}

static int do_mount(void)
{
    return said(mount("none", folder, "tmpfs", 0, NULL));
}

static int do_unshare(void)
{
    return said(unshare(0x10000000)); /* CLONE_NEWUSER */
}

static int do_bpf(void)
{
    return said(syscall(SYS_bpf, 0, NULL, 0));
}

static int do_io_uring(void)
{
    return said(syscall(SYS_io_uring_setup, 1, NULL));
}

/* --- network -------------------------------------------------------------- */

static int do_tcp(void)
{
    return said(socket(AF_INET, SOCK_STREAM, 0));
}

static int do_udp(void)
{
    return said(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int do_unix(void)
{
    return said(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int do_raw(void)
{
    return said(socket(AF_PACKET, SOCK_RAW, 0));
}

static int do_listen(void)
{
    const struct sockaddr_in any = { .sin_family = AF_INET };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    return said(bind(fd, (const struct sockaddr *)&any, sizeof(any)));
}

/* Nobody listens on this machine's port 1: but it was allowed to ask. */
static int do_connect(void)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(1),
                                    .sin_addr.s_addr = htonl(0x7f000001) };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    return said(connect(fd, (const struct sockaddr *)&to, sizeof(to)));
}

/* --- the table ------------------------------------------------------------ */

struct row {
    const char *name;
    int (*act)(void);
    int wanted;
};

#define ROW(act, wanted)                                                       \
    {                                                                          \
#act, act, wanted                                                      \
    }

static const struct row FILE_ROWS[] = {
    ROW(read_mine, 0),
    ROW(read_other, EACCES),
    ROW(read_passwords, EACCES),
    ROW(read_own_memory, EACCES),
    ROW(list_folder, EACCES),
    ROW(read_list, EACCES),
    ROW(write_mine, EPERM),
    ROW(cut_mine, EPERM),
    ROW(make_new, EPERM),
    ROW(make_nameless, EPERM),
    ROW(open_anew, EPERM),
    ROW(remove_mine, EPERM),
    ROW(move_mine, EPERM),
    ROW(link_mine, EPERM),
    ROW(make_folder, EPERM),
    ROW(open_to_all, EPERM),
    ROW(open_pool_to_all, EPERM),
    ROW(grow_pool, 0),
    ROW(map_pool, 0),
    ROW(cut_pool, EPERM),
    ROW(punch_pool, EPERM),
    ROW(grow_stats, EPERM),
    ROW(cut_stats, EPERM),
    ROW(write_stats, EPERM),
    ROW(speak, 0),
    ROW(own_stats, EPERM),
    ROW(type_ahead, EPERM),
};

static const struct row PROCESS_ROWS[] = {
    ROW(start_thread, 0),
    ROW(read_other_in_thread, EACCES),
    ROW(do_fork, KILLED),
    ROW(do_vfork, KILLED),
    ROW(do_clone3, ENOSYS),
    ROW(do_exec, KILLED),
    ROW(do_spawn, KILLED),
    ROW(kill_self, 0),
    ROW(kill_parent, KILLED),
    ROW(kill_all, KILLED),
    ROW(kill_thread_of_parent, KILLED),
    ROW(trace_parent, KILLED),
    ROW(read_parent, KILLED),
    ROW(hold_parent, KILLED),
    ROW(limit_parent, EPERM),
    ROW(know_limit, 0),
    ROW(crash, -SIGABRT),
    ROW(name_thread, 0),
    ROW(lift_filter, EPERM),
    ROW(run_written, EPERM),
    ROW(run_later, EPERM),
    ROW(do_mount, KILLED),
    ROW(do_unshare, KILLED),
    ROW(do_bpf, KILLED),
    ROW(do_io_uring, KILLED),
    ROW(do_tcp, KILLED),
    ROW(do_raw, KILLED),
    ROW(do_unix, EPERM),
};

static const struct row NETWORK_ROWS[] = {
    ROW(do_tcp, 0),
    ROW(do_udp, 0),
    ROW(do_connect, ECONNREFUSED),
    ROW(do_listen, EPERM),
    ROW(do_unix, EPERM),
    ROW(do_raw, EPERM),
    ROW(read_other, EACCES),
    ROW(read_passwords, EACCES),
    ROW(write_mine, EPERM),
    ROW(do_exec, KILLED),
    ROW(do_fork, KILLED),
};

static const struct row LIST_ROWS[] = {
    ROW(read_list, 0),   ROW(read_other, 0),          ROW(read_below, 0),
    ROW(list_folder, 0), ROW(read_passwords, EACCES), ROW(write_mine, EPERM),
};

static const struct row FOLDER_ROWS[] = {
    ROW(read_other, EACCES),
    ROW(list_folder, EACCES),
};

static int in_sandbox(const struct sandbox *sandbox, int (*act)(void))
{
    int status = 0;
    const pid_t pid = fork();

    if (pid == 0) {
        const int quiet = open("/dev/null", O_RDWR);
        dup2(quiet, STDIN_FILENO);
        dup2(quiet, STDERR_FILENO);
        if (sandbox_lock(sandbox, NULL) < 0)
            _exit(NOT_DONE);
        _exit(act());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void check(const struct sandbox *sandbox, const struct row *rows,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int got = in_sandbox(sandbox, rows[i].act);
        if (got == NOT_DONE)
            skip();
        if (got != rows[i].wanted)
            fail_msg("%s: %d, not %d", rows[i].name, got, rows[i].wanted);
    }
}

#define CHECK(sandbox, rows)                                                   \
    check(sandbox, rows, sizeof(rows) / sizeof(*(rows)))

/* --- tests ---------------------------------------------------------------- */

static void a_decoder_reads_its_file_and_changes_none(void **state)
{
    const char *const files[] = { mine };
    const struct sandbox sandbox = { .files = files,
                                     .count = 1,
                                     .grows = pool };

    (void)state;
    CHECK(&sandbox, FILE_ROWS);
}

static void a_decoder_reaches_no_other_process(void **state)
{
    const char *const files[] = { mine };
    const struct sandbox sandbox = { .files = files, .count = 1, .grows = -1 };

    (void)state;
    CHECK(&sandbox, PROCESS_ROWS);
}

static void a_url_opens_the_network_and_no_file(void **state)
{
    const struct sandbox sandbox = { .has_network = true, .grows = -1 };

    (void)state;
    CHECK(&sandbox, NETWORK_ROWS);
}

static void a_playlist_reads_its_folder(void **state)
{
    const char *const files[] = { list };
    const struct sandbox sandbox = { .files = files, .count = 1, .grows = -1 };

    (void)state;
    CHECK(&sandbox, LIST_ROWS);
}

static void a_folder_or_nothing_in_a_files_place_opens_nothing(void **state)
{
    const char *const files[] = { folder, "/", outside };
    const struct sandbox sandbox = { .files = files, .count = 3, .grows = -1 };

    (void)state;
    CHECK(&sandbox, FOLDER_ROWS);
}

static void a_build_without_says_so(void **state)
{
    const struct sandbox sandbox = { .grows = -1 };
    struct err err = ERR_EMPTY;

    (void)state;
    assert_int_equal(sandbox_lock(&sandbox, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "no sandbox"));
}

static int make(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    return write(fd, "media", 5) == 5 ? fd : -1;
}

static int set_up(void **state)
{
    char path[64];

    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(mine, sizeof(mine), "%s/mine.mp4", folder);
    snprintf(other, sizeof(other), "%s/other.mp4", folder);
    snprintf(list, sizeof(list), "%s/list.M3U8", folder);
    snprintf(outside, sizeof(outside), "%s/none", folder);
    snprintf(path, sizeof(path), "%s/parts", folder);
    snprintf(below, sizeof(below), "%s/parts/1.ts", folder);
    if (mkdir(path, 0700) < 0)
        return -1;
    close(make(mine));
    close(make(other));
    close(make(list));
    close(make(below));
    snprintf(path, sizeof(path), "%s/pool", folder);
    pool = make(path);
    snprintf(path, sizeof(path), "%s/stats", folder);
    stats = make(path);
    return pool < 0 || stats < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    static const char *const NAMES[] = { "mine.mp4",   "other.mp4", "list.M3U8",
                                         "parts/1.ts", "pool",      "stats" };
    char path[64];

    (void)state;
    close(pool);
    close(stats);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, NAMES[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/parts", folder);
    rmdir(path);
    return rmdir(folder); /* fails when somebody made something */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decoder_reads_its_file_and_changes_none),
        cmocka_unit_test(a_decoder_reaches_no_other_process),
        cmocka_unit_test(a_url_opens_the_network_and_no_file),
        cmocka_unit_test(a_playlist_reads_its_folder),
        cmocka_unit_test(a_folder_or_nothing_in_a_files_place_opens_nothing),
    };
    const struct CMUnitTest without[] = {
        cmocka_unit_test(a_build_without_says_so),
    };

    return sandbox_is_built() ? cmocka_run_group_tests(tests, set_up, tear_down)
                              : cmocka_run_group_tests(without, NULL, NULL);
}
