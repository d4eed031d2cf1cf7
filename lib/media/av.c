/* av: libav's errors, log and start-up. */
#include "media/av.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <libavcodec/avcodec.h>
#include <libavutil/log.h>

#include "log/log.h"

static bool is_verbose_log;

static void on_log(void *object, int level, const char *fmt, va_list ap)
{
    char line[512];
    int prefix = 1;

    if (!is_verbose_log || level > AV_LOG_WARNING)
        return;
    av_log_format_line(object, level, fmt, ap, line, sizeof(line), &prefix);
    line[strcspn(line, "\n")] = '\0';
    log_warn(NULL, "libav: %s", line);
}

void av_quiet(bool is_verbose)
{
    is_verbose_log = is_verbose;
    av_log_set_callback(on_log);
}

void av_warm_up(void)
{
    static const enum AVCodecID COMMON[] = {
        AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_MPEG2VIDEO,
        AV_CODEC_ID_AAC,  AV_CODEC_ID_AC3,
    };

    for (size_t i = 0; i < sizeof(COMMON) / sizeof(COMMON[0]); i++) {
        const AVCodec *codec = avcodec_find_decoder(COMMON[i]);
        AVCodecContext *context = codec ? avcodec_alloc_context3(codec) : NULL;
        if (context)
            avcodec_open2(context, codec, NULL);
        avcodec_free_context(&context);
    }
}

static enum err_kind kind_of(int code)
{
    switch (code) {
    case AVERROR(ENOENT):
        return ERR_NOT_FOUND;
    case AVERROR(ENOMEM):
    case AVERROR(ENOSPC):
    case AVERROR(EMFILE):
    case AVERROR(ENFILE):
    case AVERROR(EIO):
        return ERR_SYSTEM;
    case AVERROR(ETIMEDOUT):
    case AVERROR(ECONNREFUSED):
    case AVERROR(ECONNRESET):
    case AVERROR(EHOSTUNREACH):
    case AVERROR(ENETUNREACH):
    case AVERROR_EXIT:
        return ERR_UNREACHABLE;
    default:
        return ERR_INPUT;
    }
}

int av_fail(struct err *err, int code, const char *remedy, const char *fmt, ...)
{
    char why[AV_ERROR_MAX_STRING_SIZE];
    va_list ap;

    if (err == NULL)
        return -1;
    va_start(ap, fmt);
    err_setv(err, kind_of(code), fmt, ap);
    va_end(ap);
    av_strerror(code, why, sizeof(why));
    const size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, " (%s)%s%s", why,
             remedy ? "; " : "", remedy ? remedy : "");
    return -1;
}
