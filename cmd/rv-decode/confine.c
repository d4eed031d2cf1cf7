/* confine: what stays open, and what is said where the kernel cannot do it. */
#include "confine.h"

#include <stdlib.h>

#include "log/log.h"

/* Standard input ("-") is open already: its name opens nothing. */
static int lock(enum sandbox_mode mode, struct sandbox *sandbox,
                const char *const *assets, int count, int32_t channel,
                struct err *err)
{
    const struct log_ctx ctx = { .channel = channel };
    const char **files = calloc((size_t)count + 1, sizeof(*files));
    struct err why = ERR_EMPTY;

    if (files == NULL)
        return err_set(err, ERR_SYSTEM, "no memory for a sandbox");
    sandbox->files = files;
    for (int i = 0; i < count; i++) {
        if (segment_asset_is_url(assets[i]))
            sandbox->has_network = true;
        else
            files[sandbox->count++] = assets[i];
    }
    const int rc = sandbox_lock(sandbox, &why);
    free(files);
    if (rc == 0)
        return 0;
    if (mode == SANDBOX_STRICT) {
        *err = why;
        return -1;
    }
    if (sandbox_is_built())
        log_warn(&ctx, "%s", why.text);
    return 0;
}

int confine(enum sandbox_mode mode, struct feed *feed, struct sink *sink,
            const char *pool_path, int32_t channel, struct err *err)
{
    struct sandbox sandbox = { .grows = -1 };
    const char *const *assets = (const char *const *)feed->files;
    int count = feed->file_count;
    const char *asset;

    if (mode == SANDBOX_OFF)
        return 0;
    if (assets == NULL) {
        if (!feed_look(feed, &asset))
            return 0;
        assets = &asset;
        count = asset[0] != '\0';
    }
    if (pool_path[0] != '\0') {
        if (shm_reserve(&sink->reserved, pool_path, err) < 0)
            return err_prefix(err, "pool");
        sandbox.grows = sink->reserved.fd;
    }
    return lock(mode, &sandbox, assets, count, channel, err);
}

int confine_reader(enum sandbox_mode mode, char *const *files, int count,
                   struct err *err)
{
    struct sandbox sandbox = { .grows = -1 };

    return mode == SANDBOX_OFF
               ? 0
               : lock(mode, &sandbox, (const char *const *)files, count, 0,
                      err);
}
