/* sandbox: all locks, in their order. */
#include "proc/sandbox.h"

#include <stddef.h>
#include <sys/prctl.h>

#ifdef RV_NO_SANDBOX

bool sandbox_is_built(void)
{
    return false;
}

int sandbox_lock(const struct sandbox *sandbox, struct err *err)
{
    (void)sandbox;
    return err_set(err, ERR_SYSTEM,
                   "no sandbox: this program is built to be watched from "
                   "inside (SAN, COVERAGE); build it without");
}

#else

bool sandbox_is_built(void)
{
    return true;
}

int sandbox_lock(const struct sandbox *sandbox, struct err *err)
{
    struct err why = ERR_EMPTY;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(err, ERR_SYSTEM, "no sandbox: no_new_privs");
    const int files = sandbox_lock_files(sandbox, err);
    if (sandbox_lock_calls(sandbox, &why) == 0)
        return files;
    if (files == 0 && err != NULL)
        *err = why;
    else
        err_set(err, ERR_SYSTEM,
                "no sandbox: this kernel has neither Landlock nor seccomp; a "
                "media file that breaks into a decoder does what we may do");
    return -1;
}

#endif
