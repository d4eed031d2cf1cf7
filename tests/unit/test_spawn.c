/* spawn and control: a child gets what it was given and no more, its end is
 * seen; lines go both ways and a bad one is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/control.h"
#include "proc/spawn.h"

static void wait_end(int pidfd)
{
    struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

    assert_int_equal(poll(&poll_fd, 1, 10000), 1);
    assert_true(spawn_has_ended(pidfd));
}

/* Runs a shell line with its output in a pipe; gives what it printed. */
static int run_shell(const char *line, int keep, char *out, size_t size)
{
    const char *const argv[] = { "sh", "-c", line, NULL };
    struct err err = ERR_EMPTY;
    int pipes[2], pidfd, status = -1;
    pid_t pid;
    size_t used = 0;
    ssize_t got;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    const struct spawn spawn = { "sh", argv, -1, pipes[1], keep };
    assert_int_equal(spawn_start(&spawn, &pid, &pidfd, &err), 0);
    close(pipes[1]);
    while ((got = read(pipes[0], out + used, size - 1 - used)) > 0)
        used += (size_t)got;
    out[used] = '\0';
    close(pipes[0]);
    wait_end(pidfd);
    assert_int_equal(spawn_reap(pidfd, &status), 0);
    close(pidfd);
    return status;
}

static void a_child_has_its_descriptors_and_no_other(void **state)
{
    char out[256];
    const int leak = open("/dev/null", O_RDONLY); /* no close-on-exec */
    const int keep = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(run_shell("echo /proc/self/fd/*", -1, out, sizeof(out)),
                     0);
    assert_null(strstr(out, "fd/4"));
    assert_int_equal(
        run_shell("test -e /proc/self/fd/3 && ! test -e /proc/self/fd/5", keep,
                  out, sizeof(out)),
        0);
    close(leak);
    close(keep);
}

static void a_child_blocks_and_ignores_no_signal(void **state)
{
    char out[256];
    sigset_t set, before;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    run_shell("grep -E '^Sig(Blk|Ign):' /proc/self/status", -1, out,
              sizeof(out));
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    assert_non_null(strstr(out, "SigBlk:\t0000000000000000"));
    const char *ignored = strstr(out, "SigIgn:\t");
    assert_non_null(ignored);
    /* glibc ignores its own two, 32 and 33, in between. */
    assert_int_equal(strtoull(ignored + 8, NULL, 16) & 0x7fffffff, 0);
}

static void how_it_ended_is_told_as_by_waitpid(void **state)
{
    char out[16];

    (void)state;
    int status = run_shell("exit 3", -1, out, sizeof(out));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    status = run_shell("kill -9 $$", -1, out, sizeof(out));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_program_that_is_not_there_is_a_sentence(void **state)
{
    const char *const argv[] = { "rv-none", NULL };
    const struct spawn spawn = { "rv-none", argv, -1, -1, -1 };
    struct err err = ERR_EMPTY;
    pid_t pid;
    int pidfd;

    (void)state;
    assert_int_equal(spawn_start(&spawn, &pid, &pidfd, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "rv-none"));
}

/* --- control -------------------------------------------------------------- */

struct pair {
    struct control one, two;
};

static void pair_open(struct pair *pair)
{
    int fds[2];

    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
        0);
    control_init(&pair->one, fds[0]);
    control_init(&pair->two, fds[1]);
}

static void pair_close(struct pair *pair)
{
    control_close(&pair->one);
    control_close(&pair->two);
}

static void lines_arrive_whole_however_they_are_cut(void **state)
{
    static const char text[] = "{\"do\":\"status\",\"id\":1}\n{\"do\":\"x\"}\n";
    struct pair pair;
    int lines = 0;

    (void)state;
    pair_open(&pair);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_int_equal(write(pair.one.fd, text + i, 1), 1);
        assert_int_equal(control_fill(&pair.two, NULL), 0);
        json_t *object = control_next(&pair.two);
        lines += object != NULL;
        json_decref(object);
    }
    assert_int_equal(lines, 2);
    pair_close(&pair);
}

static void a_bad_line_is_answered_and_skipped(void **state)
{
    static const char text[] = "rubbish\n[1]\n\n{\"id\":5}\n";
    struct pair pair;

    (void)state;
    pair_open(&pair);
    assert_int_equal(write(pair.one.fd, text, sizeof(text) - 1),
                     sizeof(text) - 1);
    assert_int_equal(control_fill(&pair.two, NULL), 0);
    json_t *object = control_next(&pair.two);
    assert_int_equal(json_integer_value(json_object_get(object, "id")), 5);
    json_decref(object);
    for (int i = 0; i < 2; i++) { /* one refusal for each of the two */
        assert_int_equal(control_fill(&pair.one, NULL), 0);
        object = control_next(&pair.one);
        assert_true(json_is_false(json_object_get(object, "ok")));
        json_decref(object);
    }
    pair_close(&pair);
}

static void a_line_without_end_is_cut(void **state)
{
    static char text[CONTROL_LINE_MAX];
    struct pair pair;
    int rc = 0;

    (void)state;
    memset(text, 'x', sizeof(text));
    pair_open(&pair);
    for (int i = 0; i < 64 && rc == 0; i++) {
        (void)!write(pair.one.fd, text, sizeof(text));
        rc = control_fill(&pair.two, NULL);
    }
    assert_int_equal(rc, -1);
    pair_close(&pair);
}

static void a_peer_that_does_not_read_is_cut(void **state)
{
    struct pair pair;
    char text[4096];
    int rc = 0;

    (void)state;
    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    pair_open(&pair);
    for (int i = 0; i < 4096 && rc == 0; i++)
        rc = control_send(&pair.one, control_answer(NULL, text), NULL);
    assert_int_equal(rc, -1);
    pair_close(&pair);
}

static void a_dead_owners_socket_is_replaced_a_living_ones_not(void **state)
{
    char folder[] = "/tmp/rvtest.XXXXXX", path[64];
    struct control control;
    struct err err = ERR_EMPTY;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/control", folder);
    assert_int_equal(control_connect(&control, path, &err), -1);
    assert_int_equal(err.kind, ERR_UNREACHABLE);
    const int dead = control_listen(path, &err);
    assert_true(dead >= 0);
    close(dead);
    const int living = control_listen(path, &err);
    assert_true(living >= 0);
    assert_int_equal(control_listen(path, &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    assert_int_equal(control_connect(&control, path, &err), 0);
    control_close(&control);
    close(living);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_its_descriptors_and_no_other),
        cmocka_unit_test(a_child_blocks_and_ignores_no_signal),
        cmocka_unit_test(how_it_ended_is_told_as_by_waitpid),
        cmocka_unit_test(a_program_that_is_not_there_is_a_sentence),
        cmocka_unit_test(lines_arrive_whole_however_they_are_cut),
        cmocka_unit_test(a_bad_line_is_answered_and_skipped),
        cmocka_unit_test(a_line_without_end_is_cut),
        cmocka_unit_test(a_peer_that_does_not_read_is_cut),
        cmocka_unit_test(a_dead_owners_socket_is_replaced_a_living_ones_not),
    };

    return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
