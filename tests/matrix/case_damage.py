"""case_damage.py: files cut short, and files with a damaged stretch."""
import random
from fractions import Fraction

from make import NTSC, base, ff, packets, read, write
from model import bursts, steady
from registry import case

X264 = "-c:v libx264 -preset ultrafast -crf 18 -g 12 -bf 0"


def thin_of(words):
    """FFmpeg 5.1 writes Opus into Matroska 6.5 ms early, before the pictures."""
    return [(Fraction(0), Fraction(1, 100))] if "libopus" in words else []


def cut_short(name, ending, words, part=0.6, tail=0, sound_reach=5):
    """Cut at a part of its bytes: the pictures that are still whole are shown."""
    @case(f"cut-short-{name}")
    def _(folder):
        path = ff(f"{folder}/cut.{ending}", "-i", base(), words)
        data = read(path)
        size = int(len(data) * part)
        if ending in ("mpg", "ogv"):  # a packet of theirs is no packet of the container
            whole = len(packets(write(path, data[:size]), "v:0")) - tail
        else:
            whole = sum(1 for _, length, at, _ in packets(path, "v:0")
                        if 0 <= at and at + length <= size)
        want = steady(NTSC, whole + tail, tail=tail, reach_ms=sound_reach, thin=thin_of(words))
        # where the sound ends is told by how far it lies from its pictures
        want.silent = [(want.end - Fraction(6 + 2 * (tail > 2) * 4, 10), want.end + 1)]
        want.loose = [(want.end - 2 / NTSC, want.end)] if tail else []
        want.thin.append(want.silent[0])
        return write(path, data[:size]), want


cut_short("mp4", "mp4", f"{X264} -c:a aac -movflags +faststart")
cut_short("mov", "mov", f"{X264} -c:a pcm_s16le -movflags +faststart")
cut_short("mkv", "mkv", f"{X264} -c:a aac")
cut_short("ts", "ts", f"{X264} -c:a aac", tail=1)
cut_short("mpg", "mpg", "-c:v mpeg2video -q:v 3 -bf 0 -c:a mp2", tail=3, sound_reach=20)
cut_short("avi", "avi", "-c:v mjpeg -q:v 3 -c:a pcm_s16le", tail=1)
cut_short("flv", "flv", f"{X264} -c:a aac", tail=1, sound_reach=25)
cut_short("fmp4", "mp4", f"{X264} -c:a aac -movflags frag_keyframe+delay_moov", tail=12)
cut_short("ogv", "ogv", "-c:v libtheora -q:v 9 -c:a libvorbis", tail=3)
cut_short("mxf", "mxf", "-c:v mpeg2video -q:v 3 -bf 0 -c:a pcm_s16le", tail=1)
cut_short("webm", "webm", "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -c:a libopus", tail=1, sound_reach=8)


FILLS = {
    "zero": lambda dice, n: bytes(n),
    "ones": lambda dice, n: b"\xff" * n,
    "noise": lambda dice, n: dice.randbytes(n),
}


def damaged(name, ending, fill, words, after=Fraction(8, 10), sound_reach=5):
    """A twentieth of the bytes is written over in the middle.  Time is kept: the
    pictures behind the damage, from the next key picture on, are where they were."""
    @case(f"damage-{fill}-{name}")
    def _(folder):
        path = ff(f"{folder}/damaged.{ending}", "-i", base(), words)
        data = read(path)
        begin, end = int(len(data) * 0.45), int(len(data) * 0.50)
        data[begin:end] = FILLS[fill](random.Random(1), end - begin)
        want = steady(NTSC, 75, reach_ms=sound_reach, exact_seek=False, thin=thin_of(words))
        # bytes are spread over time almost evenly
        want.loose = [(want.end * Fraction(30, 100), want.end * Fraction(1, 2) + after)]
        return write(path, data), want


for fill_ in FILLS:
    damaged("ts", "ts", fill_, f"{X264} -c:a aac")
    damaged("mp4", "mp4", fill_, f"{X264} -c:a aac")
    damaged("mov-pcm", "mov", fill_, f"{X264} -c:a pcm_s16le")
    damaged("mkv", "mkv", fill_, f"{X264} -c:a aac")
    damaged("mpg", "mpg", fill_, "-c:v mpeg2video -q:v 3 -g 12 -bf 2 -c:a mp2", sound_reach=20)
    damaged("avi", "avi", fill_, "-c:v mjpeg -q:v 3 -c:a pcm_s16le")
    damaged("ts-mp2", "ts", fill_, "-c:v mpeg2video -q:v 3 -g 12 -bf 2 -c:a mp2", sound_reach=20)
    damaged("mkv-opus", "mkv", fill_, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 12 -b:v 1M -c:a libopus", sound_reach=8)
    damaged("flv", "flv", fill_, f"{X264} -c:a aac", sound_reach=25)
    damaged("mxf", "mxf", fill_, "-c:v mpeg2video -q:v 3 -g 12 -bf 0 -c:a pcm_s16le")
