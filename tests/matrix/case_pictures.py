"""case_pictures.py: rates, fields, shapes, pixel formats and stills."""
from fractions import Fraction

from make import ROOT, NTSC, base, clip, ff, read, recode, run, write
from model import Want, steady
from registry import case

X264 = "-c:v libx264 -preset ultrafast -crf 18 -g 12"
AAC = "-c:a aac"


# --- rates ----------------------------------------------------------------------

def put_rate(text, count, ending):
    rate = Fraction(text)

    @case(f"rate-{float(rate):.6g}-{ending}")
    def _(_folder):
        more = {"reach_ms": 20} if ending == "mpg" else {}
        return (clip(f"rate.{ending}", rate, count), steady(rate, count, **more))


for words in ("1 3 mp4", "10 25 mkv", "12 30 mp4", "15 40 ts", "24000/1001 60 mkv",
              "24000/1001 60 ts", "24 60 mp4", "25 63 ts", "25 63 mkv", "30 75 mkv",
              "48 120 mp4", "50 125 mkv", "50 125 ts", "60000/1001 150 mp4",
              "60000/1001 150 mkv", "60 150 ts", "120 300 mp4", "25 60 mpg"):
    put_rate(words.split()[0], int(words.split()[1]), words.split()[2])


# --- fields -----------------------------------------------------------------------

def put_fields(name, ending, order, words):
    """Flagged as interlaced, both fields of one picture (fields.bats has fields
    that differ)."""
    @case(f"fields-{name}-{order}")
    def _(folder):
        path = recode(f"{folder}/fields.{ending}", base(), "-vf "
                      f"scale=720:480,setfield={order}", words,
                      "-c:a pcm_s16le" if ending == "mov" else "-c:a mp2")
        return path, steady(NTSC, 75, reach_ms=5 if ending == "mov" else 20)


for kind, end, line in (
        ("mpeg2", "ts", "-c:v mpeg2video -q:v 2 -bf 2 -flags +ildct+ilme"),
        ("mpeg2", "mpg", "-c:v mpeg2video -q:v 2 -bf 2 -flags +ildct+ilme"),
        ("h264", "mov", "-c:v libx264 -preset veryfast -crf 12 -flags +ildct+ilme"),
        ("prores", "mov", "-c:v prores_ks -profile:v 1 -pix_fmt yuv422p10le -flags +ildct+ilme"),
        ("ffv1", "mov", "-c:v utvideo -pix_fmt yuv422p"),
        ("dv", "mov", "-s 720x480 -pix_fmt yuv411p -c:v dvvideo")):
    for first in ("tff", "bff"):
        put_fields(kind + "-" + end, end, first,
                   line + (f" -x264-params {first}=1" if kind == "h264" else
                           f" -top {int(first == 'tff')}" if kind != "prores" else ""))


@case("soft-pulldown-ts")
def soft_pulldown(folder):
    film = clip("film.ts", Fraction(24000, 1001), 60, size="320x192", bframes=0,
                vcodec="mpeg2video")
    es = run(["ffmpeg", "-nostdin", "-v", "error", "-i", film, "-map", "0:v", "-c", "copy", "-f",
              "mpeg2video", "-"], stdout=-1)
    flagged = run(["/usr/bin/python3", ROOT + "/tests/pulldown.py"], input=es, stdout=-1)
    write(f"{folder}/film.m2v", flagged)
    path = ff(f"{folder}/film.ts", "-f mpegvideo -framerate 24000/1001 -i", f"{folder}/film.m2v",
              "-i", film, "-map 0:v -map 1:a -c copy -bsf:v "
              "setts=ts=(trunc(N*2.5)+mod(N\\,2))*1501.5")
    # fields 0 3 5 8 10 ...; with the first field of 3 its picture stays longer
    starts = [Fraction(n * 5 // 2 + n % 2) / (2 * NTSC) for n in range(61)]
    want = steady(Fraction(24000, 1001), 60, reach_ms=30)
    want.pictures = [(starts[n], n) for n in range(60)]
    want.end = starts[60]
    return path, want


# --- shapes -----------------------------------------------------------------------

SHAPES = {
    "pal-wide-mpg": ("mpg", "-vf scale=720:576,setsar=64/45 -c:v mpeg2video -q:v 2 -c:a mp2"),
    "pal-mp4": ("mp4", f"-vf scale=720:576,setsar=16/15 {X264} {AAC}"),
    "ntsc-wide-mov": ("mov", f"-vf scale=720:480,setsar=32/27 {X264} -c:a pcm_s16le"),
    "ntsc-ts": ("ts", f"-vf scale=720:480,setsar=8/9 {X264} {AAC}"),
    "hdv-ts": ("ts", f"-vf scale=1440:1080,setsar=4/3 {X264} {AAC}"),
    "half-d1-mpg": ("mpg", "-vf scale=352:480,setsar=20/11 -c:v mpeg2video -q:v 2 -c:a mp2"),
    "pillarbox-mp4": ("mp4", f"-vf scale=240:180,pad=320:180:40:0 {X264} {AAC}"),
    "letterbox-mp4": ("mp4", f"-vf scale=320:134,pad=320:180:0:23 {X264} {AAC}"),
    "portrait-mp4": ("mp4", f"-vf scale=360:202,pad=360:640:0:219 {X264} {AAC}"),
    "odd-318x178-mp4": ("mp4", f"-vf scale=318:178 {X264} -pix_fmt yuv420p {AAC}"),
    "odd-321x181-mkv": ("mkv", "-vf scale=321:181 -c:v libx264 -preset ultrafast -pix_fmt yuv444p -c:a aac"),
    "odd-161x121-webm": ("webm", "-vf scale=161:121 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -c:a libvorbis"),
    "uhd-mp4": ("mp4", "-vf scale=3840:2160 -frames:v 40 -t 1.3346 -c:v libx264 -preset ultrafast -crf 30 -c:a aac"),
    "crop-mp4": ("mp4", f"-vf pad=342:202:10:12:white {X264} -bsf:v "
                 f"h264_metadata=crop_left=10:crop_right=22:crop_top=12:crop_bottom=16 {AAC}"),
    "crop-ts": ("ts", f"-vf pad=342:202:10:12:white {X264} -bsf:v "
                f"h264_metadata=crop_left=10:crop_right=22:crop_top=12:crop_bottom=16 {AAC}"),
}


def put_shape(name, ending, words):
    @case(f"shape-{name}")
    def _(folder):
        count = 40 if "frames:v 40" in words else 75
        return (recode(f"{folder}/shape.{ending}", base(), words),
                steady(NTSC, count, reach_ms=20 if "mp2" in words else 5))


for key, row in SHAPES.items():
    put_shape(key, *row)

ONE = 1 << 16
# what the matrix does to the picture: a b, c d, and the shift in pixels
TURNS = {
    "90": ("transpose=2", (0, ONE, -ONE, 0)),
    "180": ("hflip,vflip", (-ONE, 0, 0, -ONE)),
    "270": ("transpose=1", (0, -ONE, ONE, 0)),
    "mirror": ("hflip", (-ONE, 0, 0, ONE)),
    "flip": ("vflip", (ONE, 0, 0, -ONE)),
    "mirror-90": ("transpose=0", (0, ONE, ONE, 0)),
    "mirror-270": ("transpose=3", (0, -ONE, -ONE, 0)),
}


def set_matrix(path, matrix):
    """Into the tkhd of the video track (ISO/IEC 14496-12 8.3.2), the first one."""
    data = read(path)
    at = data.index(b"tkhd") + 4
    assert data[at] == 0  # version
    a, b, c, d = matrix
    values = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    data[at + 40:at + 76] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    return write(path, data)


def put_turn(name, back, matrix):
    @case(f"turn-{name}-mp4")
    def _(folder):
        path = recode(f"{folder}/turned.mp4", base(), f"-vf {back} {X264} {AAC}")
        return set_matrix(path, matrix), steady(NTSC, 75)


for key, row in TURNS.items():
    put_turn(key, *row)


# --- pixels -----------------------------------------------------------------------

FFV1 = "-c:v ffv1 -level 3 -c:a flac"
PIXELS = {
    **{f"ffv1-{fmt}": ("mkv", f"-pix_fmt {fmt} {FFV1}") for fmt in (
        "gray", "gray16le", "yuv410p", "yuv411p", "yuv440p", "yuv422p10le", "yuv444p12le",
        "yuva420p", "yuva444p10le", "gbrp", "gbrp10le", "gbrp16le", "bgra", "yuv420p16le")},
    "png-pal8": ("mov", "-vf split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse "
                 "-c:v png -c:a pcm_s16le"),
    "png-rgba": ("mov", "-pix_fmt rgba -c:v png -c:a pcm_s16le"),
    "png-rgb48": ("mov", "-pix_fmt rgb48be -c:v png -c:a pcm_s16le"),
    "qtrle-argb": ("mov", "-pix_fmt argb -c:v qtrle -c:a pcm_s16le"),
    "raw-uyvy": ("mov", "-pix_fmt uyvy422 -c:v rawvideo -c:a pcm_s16le"),
    "h264-10bit-422": ("mp4", f"-pix_fmt yuv422p10le {X264} {AAC}"),
    "h264-444": ("mp4", f"-pix_fmt yuv444p {X264} {AAC}"),
    "h264-rgb": ("mkv", "-pix_fmt rgb24 -c:v libx264rgb -preset ultrafast -crf 10 -c:a aac"),
    "h264-full": ("mp4", f"-vf scale=out_range=full -color_range pc {X264} -pix_fmt yuvj420p {AAC}"),
    "hevc-12bit": ("mp4", "-pix_fmt yuv422p12le -c:v libx265 -preset ultrafast -x265-params "
                   "log-level=none -c:a aac"),
    "vp9-444-10": ("mkv", "-pix_fmt yuv444p10le -c:v libvpx-vp9 -deadline realtime -cpu-used 8 "
                   "-b:v 2M -c:a flac"),
    "bt601": ("mp4", f"-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m {X264} {AAC}"),
    "bt2020": ("mp4", f"-colorspace bt2020nc -color_primaries bt2020 -color_trc bt2020-10 "
               f"-pix_fmt yuv420p10le {X264} {AAC}"),
    "pq": ("mp4", f"-vf hue=s=0 -colorspace bt2020nc -color_primaries bt2020 -color_trc smpte2084 "
           f"-pix_fmt yuv420p10le {X264} {AAC}"),
    "hlg": ("mkv", f"-colorspace bt2020nc -color_primaries bt2020 -color_trc arib-std-b67 "
            f"-pix_fmt yuv420p10le {X264} {AAC}"),
}


def put_pixels(name, ending, words):
    @case(f"pixels-{name}")
    def _(folder):
        return recode(f"{folder}/pixels.{ending}", base(), words), steady(NTSC, 75)


for key, row in PIXELS.items():
    put_pixels(key, *row)


# --- stills -----------------------------------------------------------------------

STILLS = {
    "png": "-pix_fmt rgb24", "png-alpha": "-pix_fmt rgba", "jpg": "-q:v 2", "webp": "",
    "gif": "", "tiff": "", "bmp": "", "jp2": "-pix_fmt yuv420p", "tga": "", "ppm": "",
    "dpx": "", "exr": "-pix_fmt gbrpf32le",
}


def put_still(name, words):
    ending = name.split("-", maxsplit=1)[0]

    def make(folder):
        return ff(f"{folder}/still.{ending}", "-ss 0.4004 -i", base(), words, "-frames:v 1 -an")

    @case(f"still-{name}")
    def _(folder):
        return make(folder), Want([(Fraction(0), 12)], Fraction(1), hold=30)

    if ending in ("png", "jpg"):
        @case(f"still-{name}-alone")
        def _(folder):
            # the 25th of a second that libav gives a picture is one house frame
            return make(folder), Want([(Fraction(0), 12)], Fraction(1, 25))


for key, row in STILLS.items():
    put_still(key, row)


def animated(name, ending, rate, words):
    @case(name)
    def _(folder):
        count = int(rate * 2)
        path = recode(f"{folder}/animated.{ending}", base(rate, count), words, "-an")
        return path, steady(rate, count, bursts=None)


animated("gif-animated-10", "gif", Fraction(10), "-f gif")
animated("gif-animated-25", "gif", Fraction(25), "-f gif")
animated("apng-animated", "apng", Fraction(25), "-f apng")
