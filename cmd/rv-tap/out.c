/* out: frames to standard output as NUT, Y4M or lines of JSON. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libavutil/avutil.h>
#include <stdio.h>

#include "tap.h"

/* A reader that went away is a clean end: ERR_NONE with -1. */
static int flushed(struct err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    if (errno == EPIPE) {
        *err = ERR_EMPTY;
        return -1;
    }
    return err_errno(err, ERR_SYSTEM, "standard output");
}

static int out_y4m(struct tap *tap, struct err *err)
{
    const struct house *house = &tap->house;
    const struct planes *planes = &tap->frame.planes;

    if (!tap->has_header)
        printf("YUV4MPEG2 W%d H%d F%d:%d Ip A1:1 C420mpeg2 XYSCSS=420MPEG2 "
               "XCOLORRANGE=LIMITED\n",
               (int)house->width, (int)house->height, house->rate.num,
               house->rate.den);
    tap->has_header = true;
    fputs("FRAME\n", stdout);
    for (int plane = 0; plane < 3; plane++) {
        const int width = plane ? house->width / 2 : house->width;
        const int height = plane ? house->height / 2 : house->height;
        for (int y = 0; y < height; y++)
            fwrite(planes->data[plane] + y * planes->stride[plane], 1,
                   (size_t)width, stdout);
    }
    return flushed(err);
}

static json_t *flag_words(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = {
        { FRAME_REPEATED, "repeated" },   { FRAME_SILENT, "silent" },
        { FRAME_HELD, "held" },           { FRAME_BLACK, "black" },
        { FRAME_CONCEALED, "concealed" }, { FRAME_SLATE, "slate" },
    };
    json_t *array = json_array();

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (flags & words[i].flag)
            json_array_append_new(array, json_string(words[i].word));
    }
    return array;
}

static int out_json(struct tap *tap, struct err *err)
{
    const struct tap_frame *frame = &tap->frame;
    const struct pool_frame *info = &frame->info;
    const bool is_ring = tap->ring.head != NULL;
    json_t *line = json_object();

    json_object_set_new(line, "n", json_integer(frame->n));
    json_object_set_new(
        line, "pts",
        is_ring ? json_integer(
                      house_pts(&tap->house, tap->ring.pts_base, frame->n) %
                      HOUSE_PTS_WRAP)
                : json_null());
    json_object_set_new(line, "segment", json_string(info->segment));
    json_object_set_new(line, "asset", json_string(info->asset));
    json_object_set_new(line, "asset_frame", json_integer(info->asset_frame));
    json_object_set_new(line, "source_pts_us",
                        info->source_pts_us == AV_NOPTS_VALUE
                            ? json_null()
                            : json_integer(info->source_pts_us));
    json_object_set_new(line, "flags", flag_words(info->flags));
    if (is_ring)
        json_object_set_new(line, "reason",
                            json_string(stage_reason_text(frame->reason)));
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    if (text == NULL) /* a name that is no UTF-8 leaves a hole, not this */
        return err_set(err, ERR_SYSTEM, "frame %" PRId64 ": no memory",
                       frame->n);
    puts(text);
    free(text);
    return flushed(err);
}

static int out_nut(struct tap *tap, struct err *err)
{
    const struct tap_frame *frame = &tap->frame;

    if (tap->nut == NULL &&
        nut_open(&tap->nut, &tap->house, tap->opts.has_sound, err) < 0)
        return -1;
    return nut_write(tap->nut, frame->n, &frame->planes, frame->sound,
                     frame->samples, err);
}

int out_frame(struct tap *tap, struct err *err)
{
    switch (tap->opts.form) {
    case TAP_NUT:
        return out_nut(tap, err);
    case TAP_Y4M:
        return out_y4m(tap, err);
    case TAP_JSON:
        return out_json(tap, err);
    }
    return -1;
}

int out_end(struct tap *tap, struct err *err)
{
    const int rc = tap->nut != NULL ? nut_end(tap->nut, err) : 0;

    nut_free(tap->nut);
    tap->nut = NULL;
    return rc;
}
