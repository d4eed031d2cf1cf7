"""case_odd.py: what odd libraries have: damaged timestamps, files joined to each
other, streams that are not what one wants."""
from fractions import Fraction

from make import NTSC, base, clip, ff, packets, read, write
from model import Want, bursts, steady
from registry import case

X264 = "-c:v libx264 -preset ultrafast -crf 18 -g 12"


# --- timestamps that are damaged ------------------------------------------------

def loose(begin, end, **more):
    return steady(NTSC, 75, loose=[(Fraction(begin, 10), Fraction(end, 10))],
                  exact_seek=False, **more)


def cluster(name, number, xor, free):
    """One bit of a cluster's time (RFC 9559 5.1.3.1)."""
    @case(f"damage-time-{name}-mkv")
    def _(folder):
        path = ff(f"{folder}/time.mkv", "-i", base(), f"{X264} -bf 0 -c:a pcm_s16le "
                  "-cluster_time_limit 300")
        data = read(path)
        at = 0
        for _ in range(number):
            at = data.index(b"\x1f\x43\xb6\x75", at + 4)
        time = data.index(b"\xe7\x82", at + 4, at + 24) + 2
        data[time] ^= xor
        return write(path, data), loose(*free)


cluster("ahead", 4, 0x40, (6, 13))
cluster("back", 7, 0x04, (9, 16))


def flv_tag(name, kind):
    """One bit of the thirtieth tag's time."""
    @case(f"damage-time-{name}-flv")
    def _(folder):
        path = ff(f"{folder}/time.flv", "-i", base(), f"{X264} -bf 0 -c:a aac")
        data = read(path)
        at, count = 13, 0
        while at + 11 < len(data):
            count += data[at] == kind
            if data[at] == kind and count == 30:
                data[at + 4] ^= 0x10
            at += 15 + int.from_bytes(data[at + 1:at + 4], "big")
        return write(path, data), loose(5, 12, reach_ms=25)


flv_tag("video", 9)
flv_tag("audio", 8)


# --- one file behind another ----------------------------------------------------

@case("joined-webm")
def joined(folder):
    """Two files with a header and a time of their own each."""
    data = b""
    for first, count in ((0, 30), (30, 45)):
        part = clip("part.mov", NTSC, count, gop=1, bframes=0, crf=12, start=first)
        data += read(ff(f"{folder}/part.webm", "-i", part, "-c:v libvpx -deadline realtime "
                        "-cpu-used 8 -b:v 2M -c:a libvorbis"))
    joint = (30 / NTSC - Fraction(1, 10), 30 / NTSC + Fraction(1, 10))
    want = steady(NTSC, 75, reach_ms=20, silent=[joint], thin=[joint])
    return write(f"{folder}/joined.webm", data), want


# --- recordings that begin anywhere ---------------------------------------------

def begins_between(name, words):
    """Cut off before the sixth picture of a group of 15: time 0 is the next key
    picture, not a smear."""
    @case(f"begins-between-{name}-ts")
    def _(folder):
        path = ff(f"{folder}/all.ts", "-i", base(), words, "-c:a aac")
        at = packets(path, "v:0")[5][2] // 188 * 188
        want = Want([(n / NTSC, n + 15) for n in range(60)], 60 / NTSC,
                    bursts=bursts(NTSC, 15, 75))
        return write(path, read(path)[at:]), want


begins_between("h264", "-c:v libx264 -preset ultrafast -crf 18 -g 15 -keyint_min 15 -bf 0")
begins_between("hevc", "-c:v libx265 -preset ultrafast -x265-params "
               "log-level=none:keyint=15:min-keyint=15:bframes=0")
begins_between("mpeg2", "-c:v mpeg2video -q:v 3 -bf 2 -g 15 -sc_threshold 1000000000")


def junk_first(name, count, pid):
    @case(f"begins-with-{name}-ts")
    def _(folder):
        path = ff(f"{folder}/all.ts", "-i", base(), f"{X264} -bf 2 -c:a aac")
        junk = b"".join(bytes([0x47, pid >> 8, pid & 255, 0x10 | n]) +
                        bytes((n * 7 + i) & 255 for i in range(184)) for n in range(16))
        return write(path, junk * (count // 16) + bytes(read(path))), steady(NTSC, 75)


junk_first("6mb-of-nothing", 33000, 0x1fff)
junk_first("6mb-of-data", 33000, 0x300)


# --- what a demuxer does not understand -----------------------------------------

@case("gxf")
def gxf(folder):
    """Its demuxer gives -1 at the end of the file."""
    path = ff(f"{folder}/clip.gxf", "-i", base(), "-vf scale=720:480 -c:v mpeg2video -q:v 2 "
              "-bf 0 -g 1 -c:a pcm_s16le -ac 1")
    return path, steady(NTSC, 75)


@case("joined-ogg")
def joined_ogg(folder):
    """Ogg with pictures, one behind the other: libav reads the first, and says
    that the rest is not written yet."""
    data = b""
    for first, count in ((0, 30), (30, 45)):
        part = clip("part.mov", NTSC, count, gop=1, bframes=0, crf=12, start=first)
        data += read(ff(f"{folder}/part.ogv", "-i", part, "-c:v libtheora -q:v 9 -c:a libvorbis"))
    want = steady(NTSC, 30, silent=[(29 / NTSC, Fraction(1))])
    return write(f"{folder}/joined.ogv", data), want


# --- sound beside the programme -------------------------------------------------

def tracks(name, ending, wanted, languages, roles, words="-c:v copy -c:a aac"):
    """Another clip's sound first, which is not the one to be heard."""
    @case(f"tracks-{name}-{ending}")
    def _(folder):
        path = ff(f"{folder}/tracks.{ending}", "-i", base(), "-i",
                  clip("deu.mov", frames=75, number=9), "-map 0:v -map 1:a -map 0:a",
                  *(f"-metadata:s:a:{n} language={languages[n]} -disposition:a:{n} {roles[n]}"
                    for n in (0, 1)), words)
        return path, steady(NTSC, 75), {"audio": wanted} if wanted else {}


tracks("commentary", "mkv", ["en"], ("eng", "eng"), ("comment", "0"))
tracks("commentary-default", "mkv", ["en"], ("eng", "eng"), ("comment+default", "0"))
tracks("commentary-alone-wanted", "mkv", ["en"], ("eng", "jpn"), ("comment", "0"))
tracks("commentary-none-wanted", "mkv", [], ("eng", "eng"), ("comment", "0"))
tracks("described", "mkv", ["en"], ("eng", "eng"), ("visual_impaired+default", "0"))
tracks("described-best", "mkv", ["fr", "de"], ("eng", "ger"), ("0", "visual_impaired"))
tracks("default-second", "mkv", ["en"], ("eng", "eng"), ("0", "default"))
tracks("described", "ts", ["en"], ("eng", "eng"), ("visual_impaired", "0"), f"{X264} -c:a aac")
tracks("effects", "ts", ["en"], ("eng", "eng"), ("clean_effects", "0"), f"{X264} -c:a aac")


@case("tracks-other-programme-ts")
def other_programme(folder):
    """The language that is wanted is another programme's."""
    path = ff(f"{folder}/two.ts", "-i", base(), "-i", clip("deu.mov", frames=75, number=9),
              f"-map 0:v -map 0:a -map 1:v -map 1:a {X264} -b:a 256k -c:a aac",
              "-program program_num=1:st=0:st=1 -program program_num=2:st=2:st=3 "
              "-metadata:s:a:0 language=eng -metadata:s:a:1 language=deu")
    return path, steady(NTSC, 75), {"audio": ["de"]}


@case("tracks-unknown-coding-mov")
def unknown_coding(folder):
    """The first track is of a coding that nobody knows."""
    path = ff(f"{folder}/tracks.mov", "-i", base(), "-map 0:v -map 0:a -map 0:a -c:v copy "
              "-c:a:0 pcm_s24le -c:a:1 pcm_s16le")
    data = read(path)
    at = data.index(b"in24")
    data[at:at + 4] = b"x?24"
    return write(path, data), steady(NTSC, 75)
