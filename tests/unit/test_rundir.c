/* Run folders: made in memory, removed without touching what is not ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/rundir.h"

static char dir[64];

static int make_in(void **state, const char *template)
{
    strcpy(dir, template);
    *state = mkdtemp(dir);
    return *state == NULL;
}

static int on_disk(void **state)
{
    return make_in(state, "/var/tmp/rvrun.XXXXXX");
}

static int in_memory(void **state)
{
    return make_in(state, "/dev/shm/rvrun.XXXXXX");
}

static int teardown(void **state)
{
    return rmdir(*state);
}

static void touch(const char *folder, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void a_channel_comes_and_goes(void **state)
{
    char path[RUNDIR_SIZE], real[PATH_MAX];
    struct err err;
    struct stat st;

    assert_int_equal(rundir_folder(path, *state, "7", false, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_int_equal(rundir_folder(path, *state, "7", true, &err), 0);
    assert_int_equal(rundir_folder(path, *state, "7", true, &err), 0);
    assert_int_equal(rundir_folder(path, *state, "7", false, &err), 0);
    assert_non_null(realpath(path, real));
    assert_memory_equal(real, "/dev/shm/", 9);
    touch(path, "ring");
    touch(path, "pool-12");
    touch(path, "render.proc");
    assert_int_equal(rundir_remove(*state, "7", &err), 0);
    assert_int_equal(lstat(path, &st), -1);
    assert_int_equal(stat(real, &st), -1);
    assert_int_equal(rundir_remove(*state, "7", &err), 0);
}

static void a_dangling_link_is_mended(void **state)
{
    char path[RUNDIR_SIZE], real[PATH_MAX];
    struct err err;

    assert_int_equal(rundir_folder(path, *state, "7", true, &err), 0);
    assert_non_null(realpath(path, real));
    rmdir(real); /* as after a boot */
    assert_int_equal(rundir_folder(path, *state, "7", false, &err), -1);
    assert_int_equal(rundir_folder(path, *state, "7", true, &err), 0);
    assert_int_equal(access(path, W_OK), 0);
    assert_int_equal(rundir_remove(*state, "7", &err), 0);
}

static void foreign_files_stay(void **state)
{
    char path[RUNDIR_SIZE], file[RUNDIR_SIZE + 16];
    struct err err;

    assert_int_equal(rundir_folder(path, *state, "thesis", true, &err), 0);
    touch(path, "chapter1.tex");
    touch(path, "ts");
    assert_int_equal(rundir_remove(*state, "thesis", &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    snprintf(file, sizeof(file), "%s/chapter1.tex", path);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rundir_remove(*state, "thesis", &err), 0);
}

static void names_are_checked(void **state)
{
    static const char *const bad[] = { "",         ".",    "..",  "../x",
                                       "a/b",      ".hid", "a b", "a\n",
                                       "\xc3\xa9", "a*",   "$(x)" };
    char path[RUNDIR_SIZE];
    struct err err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = ERR_EMPTY;
        assert_int_equal(rundir_folder(path, *state, bad[i], true, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_int_equal(rundir_remove(*state, bad[i], &err), -1);
    }
}

static void the_run_folder_is_found(void **state)
{
    char path[RUNDIR_SIZE], wanted[RUNDIR_SIZE], longer[RUNDIR_SIZE + 100];
    struct err err;
    struct stat st;

    snprintf(wanted, sizeof(wanted), "%s/a/b", (char *)*state);
    assert_int_equal(rundir_find(path, wanted, &err), 0);
    assert_string_equal(path, wanted);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    setenv("RETROVUE_RUN_DIR", wanted, 1);
    assert_int_equal(rundir_find(path, NULL, &err), 0);
    assert_string_equal(path, wanted);
    assert_int_equal(rundir_find(path, *state, &err), 0);
    assert_string_equal(path, *state);
    unsetenv("RETROVUE_RUN_DIR");
    assert_int_equal(chdir(*state), 0);
    assert_int_equal(rundir_find(path, "a", &err), 0);
    assert_int_equal(path[0], '/');
    assert_int_equal(rundir_find(path, "", &err), -1);
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(rundir_find(path, longer, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    touch(*state, "file");
    snprintf(wanted, sizeof(wanted), "%s/file", (char *)*state);
    assert_int_equal(rundir_find(path, wanted, &err), -1);
    unlink(wanted);
    rmdir("a/b");
    rmdir("a");
}

static void paths_are_made_absolute(void **state)
{
    char out[PATH_MAX], wanted[PATH_MAX], small[4];
    struct err err;

    assert_int_equal(chdir(*state), 0);
    touch(*state, "file");
    snprintf(wanted, sizeof(wanted), "%s/file", (char *)*state);
    assert_int_equal(path_absolute(out, sizeof(out), "file", &err), 0);
    assert_string_equal(out, wanted);
    assert_int_equal(path_absolute(out, sizeof(out), "http://x/y", &err), 0);
    assert_string_equal(out, "http://x/y");
    assert_int_equal(path_absolute(small, sizeof(small), "file", &err), -1);
    assert_int_equal(path_absolute(small, sizeof(small), "nothing", &err), -1);
    unlink(wanted);
    assert_int_equal(chdir("/"), 0);
}

static void a_lock_holds_others_off(void **state)
{
    struct err err;

    const int first = rundir_lock(*state, &err);
    assert_true(first >= 0);
    assert_int_equal(rundir_lock(*state, &err), -1);
    assert_int_equal(err.kind, ERR_STATE);
    close(first);
    const int second = rundir_lock(*state, &err);
    assert_true(second >= 0);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_channel_comes_and_goes, on_disk,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_channel_comes_and_goes, in_memory,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_dangling_link_is_mended, on_disk,
                                        teardown),
        cmocka_unit_test_setup_teardown(foreign_files_stay, on_disk, teardown),
        cmocka_unit_test_setup_teardown(foreign_files_stay, in_memory,
                                        teardown),
        cmocka_unit_test_setup_teardown(names_are_checked, on_disk, teardown),
        cmocka_unit_test_setup_teardown(the_run_folder_is_found, on_disk,
                                        teardown),
        cmocka_unit_test_setup_teardown(paths_are_made_absolute, on_disk,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_lock_holds_others_off, on_disk,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
