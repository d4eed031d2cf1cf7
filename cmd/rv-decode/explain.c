/* explain: see the header. */
#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "log/log.h"
#include "plan/segment.h"
#include "proc/rundir.h"

static void show_progress(void *opaque, int percent)
{
    fprintf(stderr, "\rreading %.60s: %d %%\033[K", (const char *)opaque,
            percent);
    fflush(stderr);
}

/* A name without what a terminal would take for an order. */
static void print_name(const char *name)
{
    for (; *name; name++)
        putchar((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name);
    putchar('\n');
}

static void print_lines(const char *file, const struct explain *explain)
{
    struct explain_line lines[EXPLAIN_LINES_MAX];
    const int count = explain_lines(explain, lines);

    print_name(file);
    for (int i = 0; i < count; i++)
        printf("  %-10s %s\n", lines[i].what, lines[i].text);
}

/* `object` (takes) as a line: 0, -1. */
static int print_object(json_t *object, const char *file, struct err *err)
{
    int rc = -1;

    if (object)
        json_object_set_new(object, "file", explain_string(file));
    char *line =
        object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12))
               : NULL;
    if (line != NULL) {
        puts(line);
        rc = 0;
    } else {
        err_set(err, ERR_SYSTEM, "no memory to explain %s", file);
    }
    free(line);
    json_decref(object);
    return rc;
}

/* One file: 0; -1 with `why`. */
static int explain_file(const char *file, bool is_json,
                        const struct explain_config *config, struct err *why)
{
    struct explain explain;
    const int rc = explain_asset(&explain, config, why);

    if (config->progress)
        fprintf(stderr, "\r\033[K");
    if (rc < 0) {
        if (is_json && !cli_stopping())
            print_object(json_pack("{so}", "error", explain_string(why->text)),
                         file, NULL);
        return -1;
    }
    if (is_json)
        return print_object(explain_json(&explain), file, why);
    print_lines(file, &explain);
    return 0;
}

int explain_files(char *const *files, int count, bool is_json,
                  const struct house *house,
                  const struct explain_config *config, struct err *err)
{
    int failed = 0;

    for (int i = 0; i < count && !cli_stopping(); i++) {
        char path[SEGMENT_ASSET_SIZE];
        struct explain_config one = *config;
        struct err why = ERR_EMPTY;
        one.path = strcmp(files[i], "-") == 0 ? files[i] : path;
        one.house = *house;
        one.progress = isatty(STDERR_FILENO) ? show_progress : NULL;
        one.opaque = files[i];
        if ((one.path == path &&
             path_absolute(path, sizeof(path), files[i], &why) < 0) ||
            explain_file(files[i], is_json, &one, &why) < 0) {
            if (failed > 0 && !cli_stopping())
                log_error(NULL, "%s", why.text);
            if (failed++ == 0)
                *err = why;
        }
        fflush(stdout);
    }
    if (cli_stopping())
        return err_set(err, ERR_STATE, "ended before all was explained");
    if (failed > 0 && count > 1)
        err_prefix(err, "%d of %d files cannot be played, first", failed,
                   count);
    return failed > 0 ? -1 : 0;
}
