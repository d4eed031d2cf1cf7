/* passed_opts: the options about slate and sandbox, the same for run and serve,
 * which only pass them on. */
#include <string.h>

#include "cli/cli.h"
#include "ctl.h"
#include "proc/sandbox.h"

enum { OPT_TITLE = 3000, OPT_SLATE, OPT_SOUND, OPT_SANDBOX };

static const struct argp_option options[] = {
    { "title", OPT_TITLE, "TEXT", 0,
      "What the built-in slate card says; %d is the channel's number "
      "(channel %d)",
      0 },
    { "slate", OPT_SLATE, "FILE", 0,
      "A picture or video as slate instead of the card; %d as above", 0 },
    { "slate-sound", OPT_SOUND, "silence|tone", 0,
      "What is heard where the slate has no sound (silence)", 0 },
    { "sandbox", OPT_SANDBOX, SANDBOX_WORDS, 0,
      "Whether decoders give up all but their asset and their pool (on); "
      "strict: one that cannot plays nothing",
      0 },
    { 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct passed_opts *opts = state->input;

    switch (key) {
    case OPT_TITLE:
        opts->title = arg;
        return 0;
    case OPT_SLATE:
        if (arg[0] == '\0')
            argp_error(state, "--slate: no file is named; give a path");
        opts->slate = arg;
        return 0;
    case OPT_SOUND:
        if (strcmp(arg, "silence") != 0 && strcmp(arg, "tone") != 0)
            argp_error(state,
                       "--slate-sound: '%s' is unknown; give silence or tone",
                       arg);
        opts->sound = arg;
        return 0;
    case OPT_SANDBOX:
        (void)cli_choice(state, "--sandbox", arg, SANDBOX_WORDS);
        opts->sandbox = arg;
        return 0;
    default: /* argp's own keys */
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp passed_argp = { .options = options, .parser = parse_opt };
