/*
 * sandbox_files: Landlock (Linux 5.13; all of version 2 in Debian 12).  glibc
 * has no functions for it, and the header of an older kernel not all of its
 * words, so the record and the later rights are written out here.  A kernel
 * takes a longer record than its own if what it does not know is zero.
 */
#include "proc/sandbox.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bsd/string.h>

struct ruleset {
    uint64_t files; /* version 1 */
    uint64_t ports; /* 4 */
    uint64_t scope; /* 6 */
};

/* Everything that version N can forbid: bits from 0 up. */
#define FILES_1   UINT64_C(0x1fff)
#define FILES_2   UINT64_C(0x3fff) /* and links and renames across folders */
#define FILES_3   UINT64_C(0x7fff) /* and truncate */
#define FILES_5   UINT64_C(0xffff) /* and ioctl of devices */
#define BIND_TCP  UINT64_C(1)
#define PORTS_4   UINT64_C(3) /* bind and connect, of TCP */
#define SCOPE_6   UINT64_C(3) /* abstract sockets and signals of others */
#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ_TREE (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static struct ruleset ruleset_of(long version, bool has_network)
{
    return (struct ruleset){
        .files = version >= 5   ? FILES_5
                 : version >= 3 ? FILES_3
                 : version == 2 ? FILES_2
                                : FILES_1,
        .ports = version < 4   ? 0
                 : has_network ? BIND_TCP
                               : PORTS_4,
        .scope = version < 6 ? 0 : SCOPE_6,
    };
}

/* A name that is not there (yet) opens nothing; who opens it says so. */
static void allow(int rules, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights,
        .parent_fd = open(path, O_PATH | O_CLOEXEC),
    };
    struct stat st;

    if (rule.parent_fd < 0)
        return;
    /* A folder in the place of a file must not open all that is below. */
    const bool is_folder =
        fstat(rule.parent_fd, &st) == 0 && S_ISDIR(st.st_mode);
    if (is_folder == (rights == READ_TREE))
        (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
                      &rule, 0);
    close(rule.parent_fd);
}

/* By the name, which is the plan's; what is in the file is its maker's. */
static bool names_several(const char *path)
{
    static const char *const LISTS[] = { ".m3u8", ".m3u", ".mpd", ".ffconcat" };
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot != NULL && i < sizeof(LISTS) / sizeof(*LISTS); i++) {
        if (strcasecmp(dot, LISTS[i]) == 0)
            return true;
    }
    return strchr(name, '%') != NULL;
}

static void allow_asset(int rules, const char *path)
{
    char folder[PATH_MAX];

    allow(rules, path, READ_FILE);
    if (!names_several(path))
        return;
    strlcpy(folder, path, sizeof(folder));
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    allow(rules, slash != NULL ? folder : ".", READ_TREE);
}

/* What getaddrinfo(3) and TLS read. */
static void allow_names(int rules)
{
    static const char *const FILES[] = {
        "/etc/resolv.conf", "/etc/hosts",    "/etc/nsswitch.conf",
        "/etc/host.conf",   "/etc/gai.conf", "/etc/services",
        "/etc/ld.so.cache",
    };
    static const char *const FOLDERS[] = {
        "/lib",           "/lib64",      "/usr/lib",
        "/etc/ssl/certs", "/etc/gnutls", "/usr/share/ca-certificates"
    };

    for (size_t i = 0; i < sizeof(FILES) / sizeof(*FILES); i++)
        allow(rules, FILES[i], READ_FILE);
    for (size_t i = 0; i < sizeof(FOLDERS) / sizeof(*FOLDERS); i++)
        allow(rules, FOLDERS[i], READ_TREE);
}

int sandbox_lock_files(const struct sandbox *sandbox, struct err *err)
{
    const long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                                 LANDLOCK_CREATE_RULESET_VERSION);
    const struct ruleset wanted = ruleset_of(version, sandbox->has_network);

    const int rules = version < 1 ? -1
                                  : (int)syscall(SYS_landlock_create_ruleset,
                                                 &wanted, sizeof(wanted), 0);
    if (rules < 0)
        return err_errno(err, ERR_SYSTEM,
                         "half a sandbox, any file can be read: Landlock");
    for (int i = 0; i < sandbox->count; i++)
        allow_asset(rules, sandbox->files[i]);
    if (sandbox->has_network)
        allow_names(rules);
    const long rc = syscall(SYS_landlock_restrict_self, rules, 0);
    if (rc < 0)
        err_errno(err, ERR_SYSTEM,
                  "half a sandbox, any file can be read: Landlock");
    close(rules);
    return rc < 0 ? -1 : 0;
}
