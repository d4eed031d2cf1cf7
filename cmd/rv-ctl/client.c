/*
 * client: the verbs that ask a server.  One call, one answer; the server's own
 * sentence on standard error when it says no.
 */
#include "ctl.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "cli/cli.h"
#include "clock/clock.h"
#include "err/err.h"
#include "plan/plan.h"
#include "proc/rundir.h"
#include "retrovue/playout.pb-c.h"
#include "retrovue/playout_status.pb-c.h"
#include "rpc/client.h"

#define TIMEOUT_MS  20000
#define CONTROL     "/retrovue.playout.PlayoutControl/"
#define STATUS      "/retrovue.playout.PlayoutStatus/"
#define DEFAULT_TCP "127.0.0.1:50051"

struct client {
    const char *address, *run_dir;
    const char *word[5]; /* the verb and what follows */
    int words;
    int64_t start_frame, frames, at_ms;
    bool has_load_option, has_at, is_json;
    struct clock_wish wish;
    char found[1100]; /* the address in use */
};

enum {
    OPT_ADDRESS = 3000,
    OPT_RUN_DIR,
    OPT_START,
    OPT_FRAMES,
    OPT_AT,
    OPT_JSON,
    OPT_RATE,
    OPT_STEP,
    OPT_PAUSE,
    OPT_RESUME
};

static const struct argp_option options[] = {
    { "address", OPT_ADDRESS, "ADDRESS", 0,
      "Server: HOST:PORT or unix:PATH (the run folder's socket if there is "
      "one, else " DEFAULT_TCP ")",
      0 },
    { "run-dir", OPT_RUN_DIR, "DIR", 0, "Run folder", 0 },
    { "start-frame", OPT_START, "N", 0, "load: first frame of the asset", 0 },
    { "frames", OPT_FRAMES, "N", 0, "load: so many frames (all)", 0 },
    { "at", OPT_AT, "MS", 0, "switch: at this UTC, in milliseconds", 0 },
    { "json", OPT_JSON, NULL, 0, "status, clock: as JSON", 0 },
    { "rate", OPT_RATE, "R", 0, "clock: run at R times real time (virtual)",
      0 },
    { "step", OPT_STEP, "MS", 0, "clock: step by so many ms (virtual)", 0 },
    { "pause", OPT_PAUSE, NULL, 0, "clock: stand still (virtual)", 0 },
    { "resume", OPT_RESUME, NULL, 0, "clock: go on as before the pause", 0 },
    { 0 }
};

struct verb {
    const char *name;
    int least, most; /* words behind it */
    int (*run)(struct client *client, struct err *err);
};
static const struct verb *find_verb(const char *name);

static void check(const struct client *client, struct argp_state *state)
{
    if (client->words == 0)
        argp_error(state, "no verb; give serve, run, start, update, stop, "
                          "load, switch, status, version or clock");
    const struct verb *verb = find_verb(client->word[0]);
    if (verb == NULL)
        argp_error(state,
                   "'%s' is no verb; give serve, run, start, update, "
                   "stop, load, switch, status, version or clock",
                   client->word[0]);
    const int words = client->words - 1;
    if (words < verb->least || words > verb->most)
        argp_error(state, "%s: %s", verb->name,
                   words < verb->least ? "something is missing"
                                       : "that is too much");
    if (client->has_load_option && strcmp(verb->name, "load") != 0)
        argp_error(state, "--start-frame and --frames are for load only");
    if (client->has_at && strcmp(verb->name, "switch") != 0)
        argp_error(state, "--at is for switch only");
    if (client->is_json && strcmp(verb->name, "status") != 0 &&
        strcmp(verb->name, "clock") != 0)
        argp_error(state, "--json is for status and clock only");
    if (client->wish.kind != 0 && strcmp(verb->name, "clock") != 0)
        argp_error(state,
                   "--rate, --step, --pause and --resume are for clock only");
    if (verb->least > 0)
        (void)cli_number(state, "CHANNEL", client->word[1], INT32_MIN,
                         INT32_MAX);
    if (strcmp(verb->name, "start") == 0 && words == 3)
        (void)cli_number(state, "PORT", client->word[3], INT32_MIN, INT32_MAX);
}

static error_t parse_clock(int key, char *arg, struct argp_state *state)
{
    struct client *client = state->input;
    struct clock_wish wish = { .kind = CLOCK_ORDER_RATE };
    struct err err = ERR_EMPTY;

    switch (key) {
    case OPT_RATE:
        if (clock_parse_rate(arg, &wish.value, &err) < 0)
            argp_error(state, "--rate: %s", err.text);
        break;
    case OPT_STEP:
        wish.kind = CLOCK_ORDER_STEP;
        wish.value =
            1000 * cli_number(state, "--step", arg, -CLOCK_STEP_MAX_US / 1000,
                              CLOCK_STEP_MAX_US / 1000);
        break;
    case OPT_PAUSE:
        break;
    case OPT_RESUME:
        wish.kind = CLOCK_ORDER_RESUME;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (client->wish.kind != 0)
        argp_error(state, "one of --rate, --step, --pause and --resume");
    client->wish = wish;
    return 0;
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct client *client = state->input;

    switch (key) {
    case OPT_ADDRESS:
        client->address = arg;
        return 0;
    case OPT_RUN_DIR:
        client->run_dir = arg;
        return 0;
    case OPT_START:
        client->start_frame =
            cli_number(state, "--start-frame", arg, INT64_MIN, INT64_MAX);
        client->has_load_option = true;
        return 0;
    case OPT_FRAMES:
        client->frames =
            cli_number(state, "--frames", arg, INT64_MIN, INT64_MAX);
        client->has_load_option = true;
        return 0;
    case OPT_AT:
        client->at_ms = cli_number(state, "--at", arg, INT64_MIN, INT64_MAX);
        client->has_at = true;
        return 0;
    case OPT_JSON:
        client->is_json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (client->words == 5)
            argp_error(state, "'%s' is too much", arg);
        client->word[client->words++] = arg;
        return 0;
    case ARGP_KEY_END:
        check(client, state);
        return 0;
    default:
        return parse_clock(key, arg, state);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_opt,
    .args_doc = "start CHANNEL PLAN [PORT]\n"
                "update CHANNEL PLAN\n"
                "stop CHANNEL\n"
                "load CHANNEL ASSET\n"
                "switch CHANNEL\n"
                "status\n"
                "version\n"
                "clock\n"
                "serve [OPTION...]\n"
                "run CHANNEL --plan PLAN [OPTION...]",
    .doc = "Run playout channels, and talk to who does."
};

/* --- where the server is -------------------------------------------------- */

static bool is_socket_in(struct client *client, const char *folder,
                         const char *tail)
{
    if (folder == NULL || folder[0] == '\0')
        return false;
    snprintf(client->found, sizeof(client->found), "unix:%s%s/playout.sock",
             folder, tail);
    return access(client->found + 5, F_OK) == 0;
}

/* The folders that rundir_find() would choose from, without making any. */
static const char *find_server(struct client *client)
{
    char own[64];

    if (client->address != NULL)
        return client->address;
    snprintf(own, sizeof(own), "/tmp/retrovue-%u", (unsigned)geteuid());
    if (client->run_dir != NULL) {
        if (is_socket_in(client, client->run_dir, ""))
            return client->found;
    } else if (is_socket_in(client, getenv("RETROVUE_RUN_DIR"), "") ||
               is_socket_in(client, "/run/retrovue", "") ||
               is_socket_in(client, getenv("XDG_RUNTIME_DIR"), "/retrovue") ||
               is_socket_in(client, own, "")) {
        return client->found;
    }
    return DEFAULT_TCP;
}

static int32_t channel_of(const struct client *client)
{
    return (int32_t)strtol(client->word[1], NULL, 10);
}

static int call(struct client *client, const char *method,
                const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *type, int timeout_ms,
                ProtobufCMessage **response, struct err *err)
{
    return rpc_client_call(find_server(client), method, request, type,
                           timeout_ms, response, err);
}

static void drop(ProtobufCMessage *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

/* --- verbs ---------------------------------------------------------------- */

static int run_start(struct client *client, struct err *err)
{
    Retrovue__Playout__StartChannelRequest request =
        RETROVUE__PLAYOUT__START_CHANNEL_REQUEST__INIT;
    ProtobufCMessage *message;
    char plan[1024];

    if (path_absolute(plan, sizeof(plan), client->word[2], err) < 0)
        return -1;
    request.channel_id = channel_of(client);
    request.plan_handle = plan;
    if (client->words > 3)
        request.port = (int32_t)strtol(client->word[3], NULL, 10);
    if (call(client, CONTROL "StartChannel", &request.base,
             &retrovue__playout__start_channel_response__descriptor, TIMEOUT_MS,
             &message, err) < 0)
        return -1;
    printf("%s\n",
           ((Retrovue__Playout__StartChannelResponse *)message)->message);
    drop(message);
    return 0;
}

static int run_update(struct client *client, struct err *err)
{
    Retrovue__Playout__UpdatePlanRequest request =
        RETROVUE__PLAYOUT__UPDATE_PLAN_REQUEST__INIT;
    ProtobufCMessage *message;
    char plan[1024];

    if (path_absolute(plan, sizeof(plan), client->word[2], err) < 0)
        return -1;
    request.channel_id = channel_of(client);
    request.plan_handle = plan;
    if (call(client, CONTROL "UpdatePlan", &request.base,
             &retrovue__playout__update_plan_response__descriptor, TIMEOUT_MS,
             &message, err) < 0)
        return -1;
    printf("%s\n", ((Retrovue__Playout__UpdatePlanResponse *)message)->message);
    drop(message);
    return 0;
}

static int run_stop(struct client *client, struct err *err)
{
    Retrovue__Playout__StopChannelRequest request =
        RETROVUE__PLAYOUT__STOP_CHANNEL_REQUEST__INIT;
    ProtobufCMessage *message;

    request.channel_id = channel_of(client);
    if (call(client, CONTROL "StopChannel", &request.base,
             &retrovue__playout__stop_channel_response__descriptor, TIMEOUT_MS,
             &message, err) < 0)
        return -1;
    printf("%s\n",
           ((Retrovue__Playout__StopChannelResponse *)message)->message);
    drop(message);
    return 0;
}

static int run_load(struct client *client, struct err *err)
{
    Retrovue__Playout__LoadPreviewRequest request =
        RETROVUE__PLAYOUT__LOAD_PREVIEW_REQUEST__INIT;
    ProtobufCMessage *message;
    char asset[1024];
    int rc = 0;

    if (path_absolute(asset, sizeof(asset), client->word[2], err) < 0)
        return -1;
    request.channel_id = channel_of(client);
    request.asset_path = asset;
    request.start_frame = client->start_frame;
    request.frame_count = client->frames;
    if (call(client, CONTROL "LoadPreview", &request.base,
             &retrovue__playout__load_preview_response__descriptor, TIMEOUT_MS,
             &message, err) < 0)
        return -1;
    const Retrovue__Playout__LoadPreviewResponse *response =
        (const void *)message;
    if (response->success)
        printf("%s\n", response->message);
    else
        rc = err_set(err, ERR_STATE, "%s", response->message);
    drop(message);
    return rc;
}

static void print_cut(const Retrovue__Playout__SwitchToLiveResponse *response)
{
    char utc[32];

    clock_format_utc(response->switch_completion_time_ms * 1000, utc);
    printf("%s, at %s, PTS %" PRIu64 ", %s%s%s\n", response->message, utc,
           response->live_start_pts,
           response->pts_contiguous ? "contiguous" : "not contiguous",
           response->violation_reason[0] != '\0' ? "; " : "",
           response->violation_reason);
}

/* A switch at a set time answers when it is done. */
static int switch_timeout(const struct client *client)
{
    struct clock clock;
    int64_t ms = TIMEOUT_MS;

    if (clock_open(&clock, NULL, NULL) == 0) {
        const int64_t ahead = client->at_ms - clock_utc_us(&clock) / 1000;
        if (client->at_ms > 0 && ahead > 0)
            ms += ahead;
        clock_close(&clock);
    }
    return ms < 86400000 ? (int)ms : 86400000;
}

static int run_switch(struct client *client, struct err *err)
{
    Retrovue__Playout__SwitchToLiveRequest request =
        RETROVUE__PLAYOUT__SWITCH_TO_LIVE_REQUEST__INIT;
    ProtobufCMessage *message;
    struct clock own;
    int rc = 0;

    request.channel_id = channel_of(client);
    request.target_boundary_time_ms = client->at_ms;
    if (clock_open(&own, NULL, NULL) == 0)
        request.issued_at_time_ms = clock_utc_us(&own) / 1000;
    if (call(client, CONTROL "SwitchToLive", &request.base,
             &retrovue__playout__switch_to_live_response__descriptor,
             switch_timeout(client), &message, err) < 0)
        return -1;
    const Retrovue__Playout__SwitchToLiveResponse *response =
        (const void *)message;
    if (response->success)
        print_cut(response);
    else if (response->result_code ==
             RETROVUE__PLAYOUT__RESULT_CODE__RESULT_CODE_NOT_READY)
        printf("%s\n", response->message);
    else
        rc = err_set(err, ERR_STATE, "%s", response->message);
    drop(message);
    return rc;
}

static int run_version(struct client *client, struct err *err)
{
    Retrovue__Playout__ApiVersionRequest request =
        RETROVUE__PLAYOUT__API_VERSION_REQUEST__INIT;
    ProtobufCMessage *message;

    if (call(client, CONTROL "GetVersion", &request.base,
             &retrovue__playout__api_version__descriptor, TIMEOUT_MS, &message,
             err) < 0)
        return -1;
    printf("%s\n", ((Retrovue__Playout__ApiVersion *)message)->version);
    drop(message);
    return 0;
}

/* --- status --------------------------------------------------------------- */

static const char *state_word(int32_t state)
{
    static const char *const words[] = { "stopped", "buffering", "ready",
                                         "error" };

    return state >= 0 && state <= 3 ? words[state] : "unknown";
}

static void print_json(const Retrovue__Playout__ListChannelsResponse *response)
{
    json_t *array = json_array();

    for (size_t i = 0; i < response->n_channels; i++) {
        const Retrovue__Playout__ChannelStatus *one = response->channels[i];
        json_array_append_new(
            array,
            json_pack("{s:i,s:s,s:I,s:I,s:s,s:s,s:I,s:i,s:i}", "channel",
                      (int)one->channel, "state", state_word(one->state),
                      "depth", (json_int_t)one->depth, "lead_ms",
                      (json_int_t)one->lead_ms, "segment", one->segment,
                      "asset", one->asset, "frame", (json_int_t)one->frame,
                      "port", (int)one->port, "viewers", (int)one->viewers));
    }
    json_dumpf(array, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(array);
}

static void print_table(const Retrovue__Playout__ListChannelsResponse *response)
{
    printf("%8s  %-9s %5s %7s %10s %5s %7s  %-12s %s\n", "CHANNEL", "STATE",
           "DEPTH", "LEAD ms", "FRAME", "PORT", "VIEWERS", "SEGMENT", "ASSET");
    for (size_t i = 0; i < response->n_channels; i++) {
        const Retrovue__Playout__ChannelStatus *one = response->channels[i];
        printf("%8d  %-9s %5" PRId64 " %7" PRId64 " %10" PRId64
               " %5d %7d  %-12s %s\n",
               one->channel, state_word(one->state), one->depth, one->lead_ms,
               one->frame, one->port, one->viewers, one->segment, one->asset);
    }
}

static int run_status(struct client *client, struct err *err)
{
    Retrovue__Playout__ListChannelsRequest request =
        RETROVUE__PLAYOUT__LIST_CHANNELS_REQUEST__INIT;
    ProtobufCMessage *message;

    if (call(client, STATUS "ListChannels", &request.base,
             &retrovue__playout__list_channels_response__descriptor, TIMEOUT_MS,
             &message, err) < 0)
        return -1;
    if (client->is_json)
        print_json((const void *)message);
    else
        print_table((const void *)message);
    drop(message);
    return 0;
}

static int run_clock(struct client *client, struct err *err)
{
    if (client->wish.kind != 0 &&
        clock_set(client->run_dir, &client->wish, err) < 0)
        return -1;
    return clock_show(client->run_dir, client->is_json, err);
}

static const struct verb verbs[] = {
    { "start", 2, 3, run_start },     { "update", 2, 2, run_update },
    { "stop", 1, 1, run_stop },       { "load", 2, 2, run_load },
    { "switch", 1, 1, run_switch },   { "status", 0, 0, run_status },
    { "version", 0, 0, run_version }, { "clock", 0, 0, run_clock },
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

int client_main(int argc, char **argv)
{
    static struct client client;
    struct err err = ERR_EMPTY;

    cli_start("rv-ctl", &argp, argc, argv, &client);
    const int rc = find_verb(client.word[0])->run(&client, &err);
    return cli_finish(rc, &err);
}
