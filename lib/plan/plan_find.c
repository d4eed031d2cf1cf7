/* plan_find: the words that a client gives for a plan (contract, section 6). */
#include "plan/plan_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/string.h>

static bool has_dot_dot(const char *name)
{
    for (const char *at = name; at != NULL; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return true;
    }
    return false;
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int check_file(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0 || access(path, R_OK) < 0)
        return err_set(err, ERR_INPUT,
                       "plan '%s' cannot be read: %s; give the path of a plan",
                       path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(
            err, ERR_INPUT,
            "plan '%s' is no file; give a plan, a list or a media file", path);
    return 0;
}

static int find_name(char path[1024], const char *name, const char *plan_dir,
                     struct err *err)
{
    static const char *const SUFFIX[] = { "", ".json" };

    if (plan_dir == NULL || plan_dir[0] == '\0')
        return err_set(
            err, ERR_INPUT,
            "plan '%.200s' is no absolute path, and there is no plan folder (--plan-dir)",
            name);
    for (int i = 0; i < 2; i++) {
        if ((size_t)snprintf(path, 1024, "%s/%s%s", plan_dir, name,
                             SUFFIX[i]) >= 1024)
            return err_set(err, ERR_INPUT, "plan '%.80s...' is too long", name);
        if (is_file(path))
            return check_file(path, err);
    }
    return err_set(
        err, ERR_INPUT,
        "plan '%.200s' is neither a file in %.200s nor with .json behind it",
        name, plan_dir);
}

int plan_find(char path[1024], const char *handle, const char *plan_dir,
              struct err *err)
{
    path[0] = '\0';
    if (handle[0] == '\0')
        return err_set(
            err, ERR_INPUT,
            "the plan is empty; give a path, a URI, or a name in the plan folder");
    if (!plan_is_utf8(handle, strlen(handle)))
        return err_set(err, ERR_INPUT, "the plan's name is not UTF-8");
    if (strncasecmp(handle, "file://", 7) == 0)
        return plan_uri_path(path, 1024, handle, err) < 0
                   ? err_prefix(err, "plan")
                   : check_file(path, err);
    if (handle[0] == '/' || segment_asset_is_url(handle)) {
        if (strlcpy(path, handle, 1024) >= 1024)
            return err_set(err, ERR_INPUT, "plan '%.80s...' is too long",
                           handle);
        return handle[0] == '/' ? check_file(path, err) : 0;
    }
    if (has_dot_dot(handle))
        return err_set(
            err, ERR_INPUT,
            "plan '%.200s' has a '..'; give a name inside the plan folder",
            handle);
    return find_name(path, handle, plan_dir, err);
}
