"""case_times.py: timestamps of every kind: late, early, cut, wrapped, wrong."""
import struct
from fractions import Fraction

from make import NTSC, base, clip, ff, read, recode, write
from model import Want, bursts, shifted, steady
from registry import case

X264 = "-c:v libx264 -preset ultrafast -crf 18 -g 12"
COPY_TS = "-fflags +bitexact"
FRAME = 1 / NTSC
WRAP = Fraction(1 << 33, 90000)


# --- variable rate ------------------------------------------------------------------

def variable(name, ending, rate, count, chosen, words=""):
    """Some pictures of a clip, each at its own time.  ffmpeg makes the last one
    as long as those of the clip, and MP4 tells so; others do not tell it, and
    then it is as long as the grid's step."""
    @case(f"vfr-{name}-{ending}")
    def _(folder):
        kept = [n for n in range(count) if chosen(n)]
        text = "+".join(f"eq(n\\,{n})" for n in kept)
        path = ff(f"{folder}/vfr.{ending}", "-i", base(rate, count),
                  f"-vf select={text} -fps_mode passthrough -enc_time_base 1/90000",
                  f"{X264} -bf 2 -c:a aac", words)
        end = (kept[-1] + 1) / Fraction(rate)
        want = Want([(n / Fraction(rate), n) for n in kept], end,
                    bursts=bursts(rate, 0, count), silent=[(count / Fraction(rate), end + 1)])
        return path, want


for end_ in ("mp4", "mkv", "ts"):
    variable("gap", end_, NTSC, 75, lambda n: n < 20 or n >= 45)
    variable("60-to-10", end_, 2 * NTSC, 147, lambda n: n < 60 or n % 6 == 0)
variable("phone", "mp4", NTSC, 75, lambda n: n % 7 != 3 and n % 11 != 5)
variable("phone", "mkv", NTSC, 75, lambda n: n % 7 != 3 and n % 11 != 5)
variable("slides", "mp4", NTSC, 91, lambda n: n % 30 == 0)
variable("long-last", "mp4", NTSC, 91, lambda n: n < 30 or n % 30 == 0)


# --- where streams begin and end ----------------------------------------------------

@case("sound-late-mp4")
def sound_late(folder):
    path = ff(f"{folder}/late.mp4", "-i", base(), "-itsoffset 0.4 -i", base(),
              f"-map 0:v -map 1:a {X264} -c:a aac")
    want = steady(NTSC, 75, silent=[(Fraction(0), Fraction(4, 10))])
    want.thin.append((Fraction(35, 100), Fraction(4, 10)))  # what AAC lets be heard before it
    return path, shifted(want, Fraction(4, 10))


def sound_begins(name, ending, words, reach_ms=5):
    """Sound that is in its place, but begins later than the pictures."""
    @case(f"sound-begins-{name}")
    def _(folder):
        path = ff(f"{folder}/begins.{ending}", "-i", base(), f"-af atrim=start=0.6 {X264}", words)
        want = steady(NTSC, 75, silent=[(Fraction(0), Fraction(6, 10))], reach_ms=reach_ms)
        want.bursts = [t for t in want.bursts if t > Fraction(6, 10)]
        want.thin.append((Fraction(55, 100), Fraction(6, 10)))
        return path, want


for end_, codec in (("mp4", "-c:a aac"), ("mkv", "-c:a libopus"), ("ts", "-c:a aac"),
                    ("mov", "-c:a pcm_s16le")):
    sound_begins(end_, end_, codec, 8 if "opus" in codec else 5)


def pictures_begin(ending, words, reach_ms=5):
    """Pictures that begin later than the sound: time 0 is the first one."""
    @case(f"pictures-begin-{ending}")
    def _(folder):
        path = ff(f"{folder}/begins.{ending}", "-i", base(),
                  f"-vf select=gte(n\\,15) -fps_mode passthrough {X264}", words)
        thin = [(Fraction(0), Fraction(1, 100))] if reach_ms > 5 else []
        return path, steady(NTSC, 60, 15, reach_ms=reach_ms, thin=thin)


for end_, codec in (("mp4", "-c:a aac"), ("mkv", "-c:a libopus"), ("ts", "-c:a aac"),
                    ("mov", "-c:a pcm_s16le")):
    pictures_begin(end_, codec, 8 if "opus" in codec else 5)


# --- cuts that an edit list makes ---------------------------------------------------

def source_mp4(bframes=2):
    return clip("cut.mp4", frames=105, gop=30, bframes=bframes)


@case("edit-list-copy-mp4")
def edit_list(folder):
    """A cut without coding anew begins at a key picture; the edit list hides
    what lies before picture 20."""
    path = ff(f"{folder}/cut.mp4", "-ss 0.66733 -i", source_mp4(), "-c copy")
    return path, steady(NTSC, 85, 20)


@case("edit-list-copy-mov")
def edit_list_mov(folder):
    path = ff(f"{folder}/cut.mov", "-ss 0.66733 -i", clip("cut.mov", frames=105, gop=30), "-c copy")
    return path, steady(NTSC, 85, 20)


@case("copy-to-ts")
def copy_ts(folder):
    """Without an edit list the pictures before the cut are there."""
    path = ff(f"{folder}/cut.ts", "-ss 1.2 -i", source_mp4(), "-c copy")
    return path, steady(NTSC, 75, 30)


# --- where time begins --------------------------------------------------------------

def starts(name, ending, offset, words="", codec="aac", want=None, **more):
    @case(f"start-{name}-{ending}")
    def _(folder):
        path = ff(f"{folder}/start.{ending}", "-i", base(),
                  f"{X264} -bf 2 -c:a {codec} -output_ts_offset {offset}", words)
        return path, want() if want else steady(NTSC, 75, **more)


for end_ in ("mp4", "mkv", "ts", "mov", "nut", "flv"):
    starts("10h", end_, 36000, reach_ms=25 if end_ == "flv" else 5)
starts("5s", "avi", 0, "-c:v mpeg4 -bf 0", codec="pcm_s16le")
# an edit list cuts off what lies before 0
starts("negative", "mp4", float(-30 / NTSC), "-avoid_negative_ts disabled",
       want=lambda: steady(NTSC, 45, 30))
for n, at in {"wrap-at-1s": WRAP - 1 - Fraction(14, 10), "wrap-at-2s": WRAP - 2 - Fraction(14, 10),
              "wrap-at-start": WRAP - Fraction(14, 10) - Fraction(1, 20)}.items():
    starts(n, "ts", float(at))
    starts(n, "mpg", float(at + Fraction(9, 10)), "-c:v mpeg2video -q:v 3", codec="mp2", reach_ms=20)


# --- lengths that are missing or wrong ----------------------------------------------

def piped(name, ending, words, reach_ms=5):
    @case(f"no-duration-{name}")
    def _(folder):
        thin = [(Fraction(0), Fraction(1, 100))] if "opus" in words else []
        path = f"{folder}/piped.{ending}"
        with open(path, "wb") as out:
            ff("-", "-i", base(), words, stdout=out)
        return path, steady(NTSC, 75, reach_ms=25 if ending == "flv" else reach_ms, thin=thin)


piped("webm", "webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus -f webm", 8)
piped("mkv", "mkv", f"{X264} -bf 2 -c:a aac -f matroska")
piped("flv", "flv", f"{X264} -bf 2 -c:a aac -f flv")
piped("fmp4", "mp4", f"{X264} -bf 2 -c:a aac -movflags frag_keyframe+empty_moov -f mp4")
piped("live-webm", "webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus -f webm -live 1", 8)
piped("avi", "avi", "-c:v mjpeg -q:v 3 -c:a pcm_s16le -f avi")
piped("nut", "nut", "-c:v ffv1 -c:a pcm_s16le -f nut")


def patched(name, ending, words, patch):
    @case(f"wrong-duration-{name}")
    def _(folder):
        path = recode(f"{folder}/wrong.{ending}", base(), words)
        return write(path, patch(read(path))), steady(
            NTSC, 75, reach_ms=25 if ending == "flv" else 5)


def patch_mkv(factor):
    def patch(data):
        at = data.index(b"\x44\x89\x88") + 3  # Duration, a double
        old, = struct.unpack(">d", data[at:at + 8])
        data[at:at + 8] = struct.pack(">d", old * factor)
        return data
    return patch


def patch_mp4(factor):
    """mvhd, and each track's tkhd, mdhd and edit (ISO/IEC 14496-12 8.2.2, 8.3.2,
    8.4.2, 8.6.6), version 0 all of them."""
    def patch(data):
        for name, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
            at = data.find(name)
            while at >= 0:
                place = at + 4 + offset
                old, = struct.unpack(">I", data[place:place + 4])
                data[place:place + 4] = struct.pack(">I", int(old * factor))
                at = data.find(name, at + 4)
        return data
    return patch


def patch_avi(factor):
    def patch(data):
        at = data.index(b"avih") + 8 + 16  # dwTotalFrames
        for place in (at, data.index(b"strh") + 8 + 32):  # dwLength
            old, = struct.unpack("<I", data[place:place + 4])
            data[place:place + 4] = struct.pack("<I", int(old * factor))
        return data
    return patch


def patch_flv(factor):
    def patch(data):
        at = data.index(b"duration\x00") + 9
        old, = struct.unpack(">d", data[at:at + 8])
        data[at:at + 8] = struct.pack(">d", old * factor)
        return data
    return patch


for factor_, word in ((10, "long"), (0.3, "short")):
    patched(f"mkv-{word}", "mkv", f"{X264} -c:a aac", patch_mkv(factor_))
    patched(f"mp4-{word}", "mp4", f"{X264} -bf 2 -c:a aac", patch_mp4(factor_))
    patched(f"avi-{word}", "avi", "-c:v mjpeg -q:v 3 -c:a pcm_s16le", patch_avi(factor_))
    patched(f"flv-{word}", "flv", f"{X264} -c:a aac", patch_flv(factor_))


def put_wav(name, size):
    @case(f"wrong-duration-wav-{name}")
    def _(folder):
        data = read(ff(f"{folder}/wrong.wav", "-i", base(), "-vn -c:a pcm_s16le"))
        at = data.index(b"data") + 4
        data[at:at + 4] = struct.pack("<I", size)
        data[4:8] = struct.pack("<I", size)
        want = Want([(Fraction(0), None)], 75 / NTSC, bursts=bursts(NTSC, 0, 75))
        return write(f"{folder}/wrong.wav", data), want


put_wav("endless", 0xffffffff)
put_wav("zero", 0)
put_wav("long", 1 << 30)


# --- transport streams that are spliced --------------------------------------------

def part(folder, name, first, last, words, rate=NTSC, **options):
    """Pictures first to last - 1, with their sound, as a transport stream."""
    source = clip("part.mov", rate, last - first, gop=1, bframes=0, crf=12, start=first, **options)
    return read(ff(f"{folder}/{name}.ts", "-i", source, words,
                   "-avoid_negative_ts disabled"))


def spliced(name, words, second, offset=None, loose=Fraction(1, 10), lost=(), reach_ms=5,
            **options):
    """Pictures 0 to 29 with one, 30 to 74 with another setting."""
    @case(f"splice-{name}-ts")
    def _(folder):
        offset_ = Fraction(30) / NTSC if offset is None else offset
        data = part(folder, "a", 0, 30, words) + \
            part(folder, "b", 30, 75, f"{second} -output_ts_offset {float(offset_)}", **options)
        at = 30 / NTSC
        return (write(f"{folder}/spliced.ts", data),
                splice_want(at, loose, lost, reach_ms))


def splice_want(at, loose, lost, reach_ms):
    want = steady(NTSC, 75, reach_ms=reach_ms)
    want.pictures = [p for p in want.pictures if p[1] not in lost]
    want.silent = [(at - loose, at + loose)]
    want.thin.append((at - loose, at + loose))
    return want


PLAIN = f"{X264} -bf 2 -c:a aac"
spliced("same", PLAIN, PLAIN)
spliced("back-to-0", PLAIN, PLAIN, 0)
spliced("back-half-a-second", PLAIN, PLAIN, 15 / NTSC)
spliced("ahead-1h", PLAIN, PLAIN, 3600)
spliced("ahead-20h", PLAIN, PLAIN, 72000)
spliced("size", PLAIN, f"-vf scale=480:270 {PLAIN}")
spliced("pixel-format", PLAIN, f"-pix_fmt yuv422p10le {PLAIN}")
spliced("codec-settings", PLAIN, "-c:v libx264 -preset veryfast -bf 3 -refs 4 -c:a aac")
spliced("sample-rate", PLAIN, f"{PLAIN} -ar 44100")
spliced("mono", PLAIN, f"{PLAIN} -ac 1")
spliced("5.1", f"{PLAIN} -ac 2", f"{PLAIN}", channels=6)
# the last picture and the last sound of a PID that is used no more are lost: a
# demuxer cannot know that they are whole
LAST = Fraction(25, 100)
spliced("pids", PLAIN, f"{PLAIN} -mpegts_start_pid 0x200", loose=LAST, lost=(28,))
spliced("pmt-version", PLAIN, f"{PLAIN} -mpegts_start_pid 0x200 -mpegts_flags +initial_discontinuity "
        "-tables_version 3", loose=LAST, lost=(28,))
spliced("pmt-and-pid", PLAIN, f"{PLAIN} -mpegts_pmt_start_pid 0x1100 -mpegts_start_pid 0x200 "
        "-tables_version 3", loose=LAST, lost=(28, 29))
spliced("all", PLAIN, "-vf scale=720:480 -c:v mpeg2video -q:v 3 -c:a ac3 -ar 44100 "
        "-mpegts_pmt_start_pid 0x1100 -mpegts_start_pid 0x200", loose=LAST, lost=(28, 29), reach_ms=10)


@case("splice-pmt-and-pid-back-to-0-ts")
def splice_back(folder):
    """Time begins anew, so nothing tells of the two pictures that are lost."""
    data = part(folder, "a", 0, 30, PLAIN) + part(
        folder, "b", 30, 75, f"{PLAIN} -mpegts_pmt_start_pid 0x1100 -mpegts_start_pid 0x200")
    want = Want([((n if n < 28 else n - 2) / NTSC, n) for n in range(75) if n not in (28, 29)],
                73 / NTSC, bursts=bursts(NTSC, 0, 28) + [t - 2 / NTSC for t in bursts(NTSC, 0, 75)
                                                        if t >= 30 / NTSC])
    want.silent = [(28 / NTSC - LAST, 28 / NTSC + LAST)]
    want.thin.append(want.silent[0])
    return write(f"{folder}/spliced.ts", data), want



@case("two-programmes-ts")
def two_programmes(folder):
    """Another programme's pictures and sound run side by side with ours."""
    path = ff(f"{folder}/two.ts", "-i", base(), "-i", clip("deu.mov", frames=75, number=9),
              f"-map 0:v -map 0:a -map 1:v -map 1:a -map 1:a {X264} -b:a 256k -c:a aac",
              "-program program_num=1:st=0:st=1:st=4 -program program_num=2:st=2:st=3 "
              "-metadata:s:a:0 language=eng -metadata:s:a:2 language=deu")
    return path, steady(NTSC, 75), {"audio": ["en"]}


@case("splice-rate-ts")
def splice_rate(folder):
    """25 pictures a second, then 50."""
    data = part(folder, "a", 0, 25, PLAIN, Fraction(25)) + \
        part(folder, "b", 25, 100, f"{PLAIN} -output_ts_offset 1", Fraction(50))
    want = Want([(Fraction(n, 25), n) for n in range(25)] +
                [(1 + Fraction(n, 50), 25 + n) for n in range(75)], Fraction(5, 2),
                bursts=bursts(25, 0, 25) + [1 + Fraction(n, 50) for n in range(0, 75, 5)])
    want.silent = [(Fraction(9, 10), Fraction(11, 10))]
    want.thin.append(want.silent[0])
    return write(f"{folder}/spliced.ts", data), want


@case("gap-in-ts")
def gap_in_ts(folder):
    """Half a second cut out; what is left stays at its time."""
    data = part(folder, "a", 0, 30, PLAIN) + \
        part(folder, "b", 45, 75, f"{PLAIN} -output_ts_offset {float(45 / NTSC)}")
    want = steady(NTSC, 75)
    want.pictures = [p for p in want.pictures if not 30 <= p[1] < 45]
    hole = (30 / NTSC - Fraction(1, 10), 45 / NTSC + Fraction(1, 10))
    want.bursts = [t for t in want.bursts if not hole[0] <= t <= 45 / NTSC - Fraction(1, 100)]
    want.silent = [hole]
    want.thin.append(hole)
    return write(f"{folder}/gap.ts", data), want
