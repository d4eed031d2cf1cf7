/*
 * asset_joined: is an Ogg or Matroska file made of several that were joined?
 *
 * In these nothing can be looked for behind the first one: libav takes times
 * from where the first one's headers say, so they are played from their start.
 */
#include "media/asset_impl.h"

#include <stdlib.h>
#include <string.h>
#include <libavutil/intreadwrite.h>

static int read_at(struct asset *asset, int64_t pos, uint8_t *bytes, int size)
{
    AVIOContext *io = asset->format->pb;

    asset_begin_read(asset);
    return avio_seek(io, pos, SEEK_SET) < 0 ? -1 : avio_read(io, bytes, size);
}

/* RFC 3533, 6: the page's header; every stream begins with a page of its own,
 * and all those come first. */
#define OGG_HEADER 27
#define OGG_SERIAL 14
/* Two pages: the last one begins in it. */
#define OGG_TAIL (128 << 10)

static const uint8_t *find_page(const uint8_t *bytes, const uint8_t *end)
{
    const uint8_t *page = end - bytes < OGG_HEADER
                              ? NULL
                              : memmem(bytes, (size_t)(end - bytes), "OggS", 4);
    return page && end - page >= OGG_HEADER ? page : NULL;
}

/* Does the last page belong to none of the streams that begin the file? */
static bool is_joined_ogg(struct asset *asset, int64_t size)
{
    const int64_t tail = FFMAX(size - OGG_TAIL, 0);
    uint8_t *bytes = malloc(OGG_TAIL);
    const uint8_t *last = NULL, *page;
    bool is_known = false;

    if (bytes == NULL)
        return false;
    int count = read_at(asset, tail, bytes, OGG_TAIL);
    for (page = bytes; count > 0 && (page = find_page(page, bytes + count));
         page++)
        last = page;
    const uint32_t serial = last ? AV_RL32(last + OGG_SERIAL) : 0;
    const bool has_last = last != NULL;
    count = has_last ? read_at(asset, 0, bytes, OGG_TAIL) : 0;
    for (page = bytes; count > 0 && (page = find_page(page, bytes + count));
         page++) {
        if (!(page[5] & 2)) /* begins no stream */
            break;
        is_known = is_known || AV_RL32(page + OGG_SERIAL) == serial;
    }
    free(bytes);
    return has_last && !is_known;
}

/* EBML's variable length (RFC 8794, 4); -1: not known, or damaged. */
static int64_t ebml_size(const uint8_t *bytes, int *length)
{
    const int zeros = bytes[0] ? __builtin_clz(bytes[0]) - 24 : 8;
    int64_t size = bytes[0] & (0x7f >> zeros);

    *length = zeros + 1;
    if (zeros > 7)
        return -1;
    for (int i = 1; i < *length; i++)
        size = size << 8 | bytes[i];
    return size == (INT64_C(1) << (7 * *length)) - 1 ? -1 : size;
}

#define EBML_HEADER  0x1a45dfa3u
#define EBML_SEGMENT 0x18538067u

/* Does another one follow behind what the file's one segment holds? */
static bool is_joined_matroska(struct asset *asset)
{
    static const uint32_t PARTS[] = { EBML_HEADER, EBML_SEGMENT };
    uint8_t bytes[12];
    int64_t pos = 0;

    for (int i = 0; i < 2; i++) {
        int length;
        if (read_at(asset, pos, bytes, sizeof(bytes)) != sizeof(bytes) ||
            AV_RB32(bytes) != PARTS[i])
            return false;
        const int64_t size = ebml_size(bytes + 4, &length);
        if (size < 0 || size > INT64_MAX / 4)
            return false;
        pos += 4 + length + size;
    }
    return read_at(asset, pos, bytes, sizeof(bytes)) == sizeof(bytes) &&
           AV_RB32(bytes) == EBML_HEADER;
}

bool asset_is_joined(struct asset *asset, int64_t size)
{
    return (asset_is_of(asset, "ogg") && is_joined_ogg(asset, size)) ||
           (asset_is_of(asset, "matroska,webm") && is_joined_matroska(asset));
}
