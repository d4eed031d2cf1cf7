"""CPU time of each conversion, rv-decode beside the ffmpeg that does the same.

usage: conversions.py BIN

Each side is one whole command (user + system time of all its processes, start
included) from the same file to NUT of raw 4:2:0 and 16-bit PCM on /dev/null,
decoding and filtering in one thread, scaling bicubic with accurate rounding.
They take turns; a row has the median of the rounds.

    ours, ffmpeg  ms for each picture that comes out
    ratio         of them; over 1.1 it is marked "!"
    net           the same with the time of a start (first row) taken off both,
                  as in a programme that lasts; over 1.1 it is marked "+"

Where ffmpeg has several ways the cheapest one was taken: what it scales up it
converts before, what it scales down behind, pictures that a rate doubles are
doubled last.  No peer has a limiter but where the row says so, and none looks for
combs in pictures that are not flagged as interlaced; ours always does both.

BENCH_ONLY=REGEX chooses rows, BENCH_ROUNDS=N rounds; the clips are made once,
in build/tests/media.  Nothing here passes or fails.
"""
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys

from peers import (ROUNDS, count_frames, environment, shell, take_turns,
                   work_folder)

BIN = sys.argv[1]
ONLY = os.environ.get("BENCH_ONLY", "")
HERE = os.path.dirname(os.path.abspath(__file__))
MEDIA = os.environ.get("RV_MEDIA", f"{HERE}/../../build/tests/media")
MOST = 1.1
PART = 50  # pictures that are coded; the clip repeats them

H720, H1080 = "1280x720", "1920x1080"
NTSC = "30000/1001"


# --- clips ------------------------------------------------------------------

# name: encoder and its options
CODECS = {
    "h264": "-c:v libx264 -preset ultrafast -bf 0 -crf 23",
    "hevc": "-c:v libx265 -preset ultrafast -x265-params"
            " log-level=none:bframes=0 -crf 26",
    "mpeg2": "-c:v mpeg2video -bf 0 -q:v 4",
    "fields": "-c:v mpeg2video -bf 0 -q:v 4 -flags +ildct+ilme -top 1",
    "prores": "-c:v prores_ks -profile:v 2",
    "prores4444": "-c:v prores_ks -profile:v 4 -alpha_bits 8",
    "v210": "-c:v v210",
    "mjpeg": "-c:v mjpeg -q:v 3",
    "ffv1": "-c:v ffv1 -level 3 -coder 0",
    "png": "-c:v png",
    "qtrle": "-c:v qtrle",
}
# what a clip says of its colours: matrix, primaries, transfer
TAGS = {
    "bt709": ("bt709", "bt709", "bt709"),
    "bt601": ("smpte170m", "smpte170m", "smpte170m"),
    "bt2020": ("bt2020nc", "bt2020", "bt2020-10"),
    "pq": ("bt2020nc", "bt2020", "smpte2084"),
    "hlg": ("bt2020nc", "bt2020", "arib-std-b67"),
    "rgb": ("rgb", "bt709", "bt709"),
}


def kept(ending, *commands):
    """A file of the media folder, made by shell commands with {out}."""
    total = hashlib.sha256("\n".join(commands).encode()).hexdigest()[:16]
    path = os.path.realpath(f"{MEDIA}/bench-{total}.{ending}")
    if not os.path.exists(path):
        part = f"{MEDIA}/.part-{os.getpid()}"
        os.makedirs(MEDIA, exist_ok=True)
        for command in commands:
            shell(command.format(part=f"{part}.part.mov", tests=f"{HERE}/..",
                                 out=f"{part}.{ending}"), None)
        os.rename(f"{part}.{ending}", path)
        if os.path.exists(f"{part}.part.mov"):
            os.unlink(f"{part}.part.mov")
    return path


FFMPEG = "ffmpeg -nostdin -v error -y"
SOUND = "-f lavfi -i 'aevalsrc=0.2*sin(2*PI*440*t)|0.2*sin(2*PI*660*t):s=48000'"


def video(frames, size=H720, rate="25", codec="h264", pix="yuv420p",
          tags="bt709", change="", copy="", ending="mov", noise=4):
    """A clip of noisy moving bars with stereo PCM."""
    grain = f",noise=alls={noise}:allf=t" if noise else ""
    matrix, primaries, transfer = TAGS[tags]
    part = (
        f"{FFMPEG} -f lavfi -i testsrc2=s={size}:r={rate}{grain},"
        f"{change + ',' if change else ''}format={pix}"
        f" -colorspace {matrix} -color_primaries {primaries}"
        f" -color_trc {transfer} -frames:v {PART} {CODECS[codec]} {{part}}"
    )
    whole = (
        f"{FFMPEG} -stream_loop -1 -i {{part}} {SOUND} -map 0:v -map 1:a"
        f" -c:v copy -c:a pcm_s16le -frames:v {frames} -shortest {copy} {{out}}"
    )
    return kept(ending, part, whole)


def telecine(frames):
    """24 pictures a second, flagged to last 3, 2, 3, 2 fields."""
    return kept(
        "ts",
        f"{FFMPEG} -f lavfi -i testsrc2=s=720x480:r=24000/1001"
        f" -frames:v {frames} -c:v mpeg2video -bf 0 -q:v 4 -f mpeg2video -"
        f" | /usr/bin/python3 {{tests}}/pulldown.py | {FFMPEG} -fflags +genpts"
        f" -f mpegvideo -framerate {NTSC} -i - -c copy {{out}}",
    )


def varied(frames):
    """Pictures that last 1/60 to 5/60 s."""
    return kept(
        "mov",
        f"{FFMPEG} -f lavfi -i testsrc2=s={H720}:r=60 -vf"
        f" \"select='lt(mod(n*n,11),5)'\" -fps_mode passthrough -enc_time_base"
        f" 1/60 -frames:v {frames} {CODECS['h264']} {{out}}",
    )


def still():
    return kept("png", f"{FFMPEG} -f lavfi -i testsrc2=s={H1080}"
                       f" -frames:v 1 {{out}}")


def sound(seconds, channels, rate="48000", loud=0.2, cover=False):
    """Sound alone, as long as that; `loud` is the amplitude of each channel."""
    one = f"{loud}*sin(2*PI*(200+40*sin(t))*t)"
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]
    tune = "|".join([one] * channels)
    image = (f" -f lavfi -i color=red:s={H720}:d=0.04 -map 0 -map 1 -frames:v 1"
             " -c:v mjpeg -disposition:v attached_pic" if cover else "")
    return kept(
        "flac" if cover else "wav",
        f"{FFMPEG} -f lavfi -i 'aevalsrc={tune}:c={layout}:s={rate}:d=10'"
        f" -c:a pcm_s16le -f wav {{part}}",
        f"{FFMPEG} -stream_loop -1 -i {{part}} {image} -t {seconds}"
        f" -c:a {'flac' if cover else 'pcm_s16le'} {{out}}",
    )


# --- command lines ----------------------------------------------------------

OUT = "-c:v rawvideo -pix_fmt yuv420p -c:a pcm_s16le -ar 48000 -ac 2 -f nut -"
FLAGS = "flags=bicubic+accurate_rnd"


def scale(size, more=""):
    width, height = size.split("x")
    return f"scale={width}:{height}:{FLAGS}{more}"


def ours(path, house, segment):
    command = f"rv-decode --nut --threads 1 --house {house}"
    if not segment:
        return f"{command} {path}"
    line = json.dumps({"segment": "s", "type": "content", "asset": path,
                       **segment})
    return f"printf '%s\\n' '{line}' | {command}"


def theirs(path, way):
    before, graph, more, behind = way
    sources = f"{before} -i {path} {more}"
    if graph:
        kind = "-filter_complex" if "[" in graph else "-vf"
        graph = f"{kind} '{graph}'"
    return (f"{FFMPEG} -threads 1 -filter_threads 1 -filter_complex_threads 1"
            f" {sources} {graph} -fps_mode passthrough {behind} {OUT}")


def way(graph="", before="", more="", behind=""):
    """ffmpeg's options: -vf, before and behind -i, and for the output."""
    return before, graph, more, behind


def fps(rate):
    """A picture begins with the first frame that is not before it."""
    return f"fps={rate}:round=up"


YUV = "format=yuv420p"
DEEP = scale(H720, ":out_range=tv") + "," + YUV
RGB = scale(H720, ":out_color_matrix=bt709:out_range=tv") + "," + YUV
BT601 = "colormatrix=bt601:bt709"
TO_SDR = ("zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,"
          "tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p")
OVER = (f"color=black:s={H720}:r=25[b];[0:v]{scale(H720)},format=yuva420p[v];"
        "[b][v]overlay=shortest=1:format=yuv420")
BLACK = "-f lavfi -i color=black:s=64x36:r=25"
SILENT = "-f lavfi -i anullsrc=r=48000:cl=stereo"

STAND = "loop=-1:1,settb=1/25,setpts=N"  # one picture, 25 times a second

P25, P50, P2997 = f"{H720}@25", f"{H720}@50", f"{H720}@{NTSC}"
P5994 = f"{H720}@60000/1001"
TINY = "64x36@25"


def heard(seconds, graph=""):
    """Sound over the black of the house."""
    af = f"-af {graph}" if graph else ""
    return way(more=f"{BLACK} -map 1:v -map 0:a {af} -t {seconds}")


# name, house, clip, ffmpeg's way, what the segment says beside its asset
def rows():
    n, few, least = 150, 50, 20
    long = 200  # seconds of sound
    yield ("a start (2 pictures)", P25, lambda: video(2), way(), {})
    # shape
    yield ("same format", P25, lambda: video(n), way(), {})
    yield ("1080 to 720", P25, lambda: video(n, H1080), way(scale(H720)), {})
    yield ("720 to 1080", f"{H1080}@25", lambda: video(n),
           way(scale(H1080)), {})
    yield ("576 to 1080, 64:45", f"{H1080}@25",
           lambda: video(n, "720x576", change="setsar=64/45"),
           way(scale(H1080)), {})
    yield ("576 to 720, 16:15, pillars", P25,
           lambda: video(n, "720x576", change="setsar=16/15"),
           way(scale("960x720") + ",pad=1280:720:160:0"), {})
    yield ("1920x800 to 720, letterbox", P25, lambda: video(n, "1920x800"),
           way(scale("1280x534") + ",pad=1280:720:0:92"), {})
    yield ("1280x544 in 720, letterbox", P25, lambda: video(n, "1280x544"),
           way("pad=1280:720:0:88"), {})
    yield ("turned by 90", P25,
           lambda: video(n, "720x1280", copy="-metadata:s:v rotate=90"),
           way("transpose=clock", "-noautorotate"), {})
    yield ("1080, turned by 90, to 720", P25,
           lambda: video(n, "1080x1920", copy="-metadata:s:v rotate=90"),
           way(scale("720x1280") + ",transpose=clock", "-noautorotate"), {})
    yield ("turned by 180", P25,
           lambda: video(n, copy="-metadata:s:v rotate=180"),
           way("hflip,vflip", "-noautorotate"), {})
    # samples
    yield ("4:2:2", P25, lambda: video(n, codec="mpeg2", pix="yuv422p"),
           way(DEEP), {})
    yield ("4:4:4", P25, lambda: video(n, pix="yuv444p"), way(DEEP), {})
    yield ("4:2:0 of 10 bits, HEVC", P25,
           lambda: video(n, codec="hevc", pix="yuv420p10le"), way(DEEP), {})
    yield ("4:2:2 of 10 bits, ProRes", P25,
           lambda: video(few, codec="prores", pix="yuv422p10le"), way(DEEP), {})
    yield ("4:2:2 of 10 bits, v210, 1080 to 720", P25,
           lambda: video(2 * few, H1080, codec="v210", pix="yuv422p10le"),
           way(DEEP), {})
    yield ("4:4:4 of 12 bits, ProRes", P25,
           lambda: video(least, codec="prores4444", pix="yuv444p10le"),
           way(DEEP), {})
    yield ("RGB, QuickTime RLE", P25,
           lambda: video(n, codec="qtrle", pix="rgb24", tags="rgb", noise=0),
           way(RGB), {})
    yield ("RGB, PNG", P25,
           lambda: video(few, codec="png", pix="rgb24", tags="rgb", noise=0),
           way(RGB), {})
    yield ("RGB of 10 bits, FFV1 (planar)", P25,
           lambda: video(least, codec="ffv1", pix="gbrp10le", tags="rgb", noise=0),
           way(RGB), {})
    yield ("alpha over black, QuickTime RLE", P25,
           lambda: video(n, codec="qtrle", pix="argb", tags="rgb", noise=0,
                         change="format=argb,colorchannelmixer=aa=0.7"),
           way(OVER), {})
    yield ("alpha over black, ProRes", P25,
           lambda: video(least, codec="prores4444", pix="yuva444p10le",
                         change="format=yuva444p10le,colorchannelmixer=aa=0.7"),
           way(OVER), {})
    # colour
    yield ("full range", P25,
           lambda: video(n, pix="yuvj420p"), way(DEEP), {})
    yield ("full range of BT.601, Motion JPEG", P25,
           lambda: video(n, codec="mjpeg", pix="yuvj420p", tags="bt601"),
           way(f"{DEEP},{BT601}"), {})
    yield ("BT.601 to BT.709", P25, lambda: video(n, tags="bt601"),
           way(BT601), {})
    yield ("576 of BT.601 to 720 of BT.709", P25,
           lambda: video(n, "720x576", tags="bt601", change="setsar=64/45"),
           way(f"{BT601},{scale(H720)}"), {})
    yield ("BT.2020 SDR to BT.709", P25,
           lambda: video(few, pix="yuv420p10le", tags="bt2020"),
           way("colorspace=all=bt709:iall=bt2020:format=yuv420p"), {})
    yield ("PQ to SDR", P25,
           lambda: video(few, pix="yuv420p10le", tags="pq"), way(TO_SDR), {})
    yield ("HLG to SDR", P25,
           lambda: video(few, pix="yuv420p10le", tags="hlg"), way(TO_SDR), {})
    # fields
    for name, house, size, rate, mode in (
            ("1080i25 to 1080p50", f"{H1080}@50", H1080, "25", "field"),
            ("1080i25 to 720p50", P50, H1080, "25", "field"),
            ("1080i25 to 1080p25", f"{H1080}@25", H1080, "25", "frame"),
            ("1080i29.97 to 720p59.94", P5994, H1080, NTSC, "field")):
        graph = f"bwdif=send_{mode}"
        if not house.startswith(size):
            graph += "," + scale(H720)
        yield (name, house,
               lambda size=size, rate=rate: video(few, size, rate, "fields"),
               way(graph), {})
    yield ("480i29.97 to 480p59.94", "720x480@60000/1001",
           lambda: video(n, "720x480", NTSC, "fields", tags="bt601",
                         change="setsar=1"), way("bwdif=send_field"), {})
    yield ("soft telecine to 23.976", "720x480@24000/1001",
           lambda: telecine(4 * n),
           way("fps=24000/1001", more=f"{SILENT} -map 0:v -map 1:a",
               behind="-shortest"), {})
    # rates
    for name, rate, house in (
            ("23.976 to 29.97", "24000/1001", P2997),
            ("25 to 29.97", "25", P2997), ("25 to 50", "25", P50),
            ("29.97 to 25", NTSC, P25),
            ("59.94 to 29.97", "60000/1001", P2997)):
        yield (name, house, lambda rate=rate: video(2 * n, rate=rate),
               way(fps(house.split("@")[1])), {})
    yield ("1080p25 to 720p50", P50, lambda: video(n, H1080),
           way(f"{scale(H720)},{fps('50')}"), {})
    yield ("1080p59.94 to 720p29.97", P2997,
           lambda: video(n, H1080, "60000/1001"),
           way(f"{fps(NTSC)},{scale(H720)}"), {})
    yield ("variable to 29.97", P2997, lambda: varied(2 * n),
           way(fps(NTSC), more=f"{SILENT} -map 0:v -map 1:a",
               behind="-shortest"), {})
    # stills, fades
    yield ("still, 1080 to 720", P25, still,
           way(f"{RGB},{STAND}", "-framerate 25",
               f"{SILENT} -map 0:v -map 1:a", "-frames:v 2000 -t 80"),
           {"frames": 2000, "pad": "hold"})
    yield ("fade of picture and sound", P25, lambda: video(n),
           way(f"fade=in:0:{n}", more=f"-af afade=in:d={n // 25}"),
           {"frames": n, "fade_in": f"{n // 25}/1"})
    # sound
    yield ("sound with a cover", P25, lambda: sound(80, 2, cover=True),
           way(f"{DEEP},{STAND}", more="-map 0:v -map 0:a",
               behind="-frames:v 2000 -t 80"), {})
    yield ("stereo", TINY, lambda: sound(long, 2), heard(long), {})
    yield ("stereo, limiter on both sides", TINY, lambda: sound(long, 2),
           heard(long, "alimiter=limit=0.891:level=0"), {})
    yield ("5.1 to stereo", TINY, lambda: sound(long, 6), heard(long), {})
    yield ("7.1 to stereo", TINY, lambda: sound(long, 8), heard(long), {})
    yield ("mono to stereo", TINY, lambda: sound(long, 1), heard(long), {})
    yield ("44.1 to 48 kHz", TINY, lambda: sound(long, 2, "44100"),
           heard(long), {})
    yield ("96 to 48 kHz", TINY, lambda: sound(long, 2, "96000"),
           heard(long), {})
    yield ("gain of 18 dB, limiter on both sides", TINY,
           lambda: sound(long, 2),
           heard(long, "volume=18dB,alimiter=limit=0.891:level=0"),
           {"gain_db": 18})
    yield ("fade of sound", TINY, lambda: sound(long, 2),
           heard(long, f"afade=in:d={long}"),
           {"frames": 25 * long, "fade_in": f"{long}/1"})


# --- the table --------------------------------------------------------------

def measure(row, env):
    """Seconds and frames of each side: (ours, theirs), (ours, theirs)."""
    _, house, clip, peer, segment = row
    path = clip()
    commands = ours(path, house, segment), theirs(path, peer)
    out = [count_frames(command, env) for command in commands]
    used = take_turns([f"{c} >/dev/null" for c in commands], env)
    return [statistics.median(side) for side in used], out


def line(name, used, start, out):
    each = [seconds / frames * 1000 for seconds, frames in zip(used, out)]
    ratio = each[0] / each[1]
    net = ((used[0] - start[0]) / out[0]) / ((used[1] - start[1]) / out[1])
    marks = "!" * (ratio > MOST) + "+" * (net > MOST)
    frames = str(out[0]) if out[0] == out[1] else f"{out[0]} and {out[1]}!"
    print(f"{name:37} {each[0]:8.3f} {each[1]:8.3f} {ratio:6.2f} {net:6.2f}"
          f" {marks:2}  {frames}", flush=True)
    return ratio, net


def main():
    print(f"CPU time of a conversion (ms a picture), median of {ROUNDS}")
    print(f"{'conversion':37} {'ours':>8} {'ffmpeg':>8} {'ratio':>6}"
          f" {'net':>6}     pictures")
    worst = {}
    with work_folder() as work:
        env = environment(BIN, work)
        first, *others = rows()
        start, out = measure(first, env)
        print(f"{first[0]:37} {start[0] / out[0] * 1000:8.3f}"
              f" {start[1] / out[1] * 1000:8.3f}"
              f" {start[0] / start[1]:6.2f}")
        for row in others:
            if not re.search(ONLY, row[0]):
                continue
            used, out = measure(row, env)
            worst[row[0]] = line(row[0], used, start, out)
    for at, what in enumerate(("ratio", "net")):
        if worst:
            name = max(worst, key=lambda row: worst[row][at])
            print(f"worst {what}: {worst[name][at]:.2f}, {name}")


main()
