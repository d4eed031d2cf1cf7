/* cli: options, signals and the last sentence, alike in all programs. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "log/log.h"

#ifndef RV_VERSION
#define RV_VERSION "0.0.0"
#endif

const char cli_version[] = RV_VERSION;

static volatile sig_atomic_t stopping;
static const char *program_name = "rv";

static void on_stop_signal(int number)
{
    (void)number;
    stopping = 1;
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "%s (retrovue-playout) %s\n", program_name, RV_VERSION);
}

void cli_start(const char *program, const struct argp *argp, int argc,
               char **argv, void *opts)
{
    /* No SA_RESTART: a wait must return so that the loop sees the flag. */
    struct sigaction stop = { .sa_handler = on_stop_signal };
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    program_name = program;
    argp_program_version_hook = print_version;
    argp_err_exit_status = err_exit_status(ERR_USAGE);
    argp_parse(argp, argc, argv, 0, NULL, opts);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    log_start(program);
}

bool cli_stopping(void)
{
    return stopping != 0;
}

void cli_stop(void)
{
    stopping = 1;
}

int cli_finish(int rc, const struct err *err)
{
    int status = 0;

    errno = 0;
    const bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", program_name, err->text);
        status = err_exit_status(err->kind);
        if (status == 0)
            status = err_exit_status(ERR_SYSTEM);
    } else if (lost && errno != EPIPE) {
        fprintf(stderr, "%s: standard output: %s\n", program_name,
                strerror(errno ? errno : EIO));
        status = err_exit_status(ERR_SYSTEM);
    }
    return status;
}

int64_t cli_number(const struct argp_state *state, const char *option,
                   const char *text, int64_t min, int64_t max)
{
    const char *why = NULL;
    const int64_t value = strtonum(text, min, max, &why);

    if (why != NULL) {
        argp_error(state,
                   "%s: '%s' is %s; give a whole number from %lld to %lld",
                   option, text, why, (long long)min, (long long)max);
    }
    return value;
}

int cli_choice(const struct argp_state *state, const char *option,
               const char *text, const char *words)
{
    const size_t length = strlen(text);
    const char *word = words;

    for (int i = 0; word != NULL; i++) {
        const char *end = strchrnul(word, '|');
        if ((size_t)(end - word) == length && strncmp(word, text, length) == 0)
            return i;
        word = *end == '|' ? end + 1 : NULL;
    }
    argp_error(state, "%s: '%s' is unknown; give %s", option, text, words);
    return 0;
}

void cli_host_port(const struct argp_state *state, const char *option,
                   const char *text, char *host, size_t host_size,
                   uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    const char *why = NULL;

    if (colon == NULL || colon == text) {
        argp_error(state, "%s: '%s' is no address; give HOST:PORT", option,
                   text);
        return;
    }
    *port = (uint16_t)strtonum(colon + 1, 0, 65535, &why);
    const char *from = text;
    const char *to = colon;
    if (*from == '[' && to[-1] == ']') {
        from++;
        to--;
    }
    const size_t length = (size_t)(to - from);
    if (why != NULL || length == 0 || length >= host_size) {
        argp_error(
            state,
            "%s: '%s' is no address; give HOST:PORT with a port from 0 to 65535",
            option, text);
        return;
    }
    memcpy(host, from, length);
    host[length] = '\0';
}
