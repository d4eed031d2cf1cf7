/*
 * rv-mkstats: counts into a channel's stats page as its processes would.
 *
 *   rv-mkstats FOLDER [counter:N=BY] [gauge:N=VALUE] [text:N=TEXT] [latency=US]
 *              [enter=NAME] [wait]
 *
 * N is the number of the enum in stats.h.  `enter` makes FOLDER/NAME.proc and
 * holds it; `wait` prints "ready" and stays until a signal.
 */
#include <bsd/stdlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "stats/stats.h"

static const struct argp argp = { .args_doc = "FOLDER [WORD...]" };

/* The N in "word:N=value" below `limit`, and where the value begins. */
static int index_of(const char *word, int limit, const char **value)
{
    char *end;
    const long at = strtol(strchr(word, ':') + 1, &end, 10);

    *value = end + 1;
    return *end == '=' && at >= 0 && at < limit ? (int)at : -1;
}

static int apply(struct stats *stats, const char *folder, const char *word,
                 struct err *err)
{
    static struct stats_proc procs[8];
    static int proc_count;
    const char *value = "";
    int at = 0;

    if (strncmp(word, "counter:", 8) == 0) {
        at = index_of(word, STATS_COUNTERS, &value);
        if (at >= 0)
            stats_add(stats, (enum stats_counter)at, strtoull(value, NULL, 10));
    } else if (strncmp(word, "gauge:", 6) == 0) {
        at = index_of(word, STATS_GAUGES, &value);
        if (at >= 0)
            stats_set(stats, (enum stats_gauge)at, strtoll(value, NULL, 10));
    } else if (strncmp(word, "text:", 5) == 0) {
        at = index_of(word, STATS_TEXTS, &value);
        if (at >= 0)
            stats_set_text(stats, (enum stats_text)at, value);
    } else if (strncmp(word, "latency=", 8) == 0) {
        stats_latency(stats, strtoll(word + 8, NULL, 10));
    } else if (strncmp(word, "enter=", 6) == 0 && proc_count < 8) {
        return stats_proc_enter(&procs[proc_count++], folder, word + 6, err);
    } else if (strcmp(word, "wait") == 0) {
        printf("ready\n");
        fflush(stdout);
        while (!cli_stopping())
            pause();
    } else {
        at = -1;
    }
    if (at < 0)
        return err_set(err, ERR_INPUT, "%s: unknown word", word);
    return 0;
}

int main(int argc, char **argv)
{
    struct stats stats = STATS_EMPTY;
    struct err err = ERR_EMPTY;
    int rc = -1;

    cli_start("rv-mkstats", &argp, 1, argv, NULL);
    if (argc < 2)
        err_set(&err, ERR_USAGE, "give a folder");
    else
        rc = stats_open(&stats, argv[1], true, &err);
    for (int i = 2; rc == 0 && i < argc; i++)
        rc = apply(&stats, argv[1], argv[i], &err);
    stats_close(&stats);
    return cli_finish(rc, &err);
}
