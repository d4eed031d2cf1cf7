"""case_sound.py: sound of every kind, with and without pictures."""
from fractions import Fraction
from math import ceil

from make import NTSC, base, clip, ff, recode
from model import Want, bursts, steady
from registry import case

LENGTH = Fraction(75) / NTSC
SAMPLES = 120120  # of 75 pictures


def sound_only(end, late=Fraction(0), cover=None, **more):
    """Sound that begins with the clip's, `late` seconds in; black or a cover."""
    times = [t + late for t in bursts(NTSC, 0, 75)]
    return Want([(Fraction(0), cover)], end, bursts=times, **more)


# frame: samples in a coded frame, and delay: samples that the encoder puts first
# and that the format cannot tell of; 0 where it can
def put_audio(name, ending, words, frame=1, delay=0, **more):
    @case(f"sound-{name}")
    def _(folder):
        path = ff(f"{folder}/sound.{ending}", "-i", base(), "-vn", words)
        rate = more.pop("rate", 48000)
        samples = SAMPLES * rate // 48000
        end = Fraction(ceil(Fraction(samples + delay, frame)) * frame, rate)
        return path, sound_only(end, Fraction(delay, rate),
                                silent=[(LENGTH, LENGTH + 1)], **more)


put_audio("wav", "wav", "-c:a pcm_s16le")
put_audio("wav-24", "wav", "-c:a pcm_s24le")
put_audio("wav-float", "wav", "-c:a pcm_f32le")
put_audio("wav-u8", "wav", "-c:a pcm_u8")
put_audio("wav-alaw", "wav", "-c:a pcm_alaw")
put_audio("aiff", "aiff", "-c:a pcm_s16be")
put_audio("caf-alac", "caf", "-c:a alac")
put_audio("w64", "w64", "-c:a pcm_s16le")
put_audio("flac", "flac", "-c:a flac")
put_audio("ogg-vorbis", "ogg", "-c:a libvorbis")
put_audio("ogg-opus", "opus", "-c:a libopus")
put_audio("ogg-flac", "oga", "-c:a flac")
put_audio("mka-flac", "mka", "-c:a flac")
put_audio("m4a", "m4a", "-c:a aac")
put_audio("m4a-alac", "m4a", "-c:a alac")
put_audio("mp3", "mp3", "-c:a libmp3lame")
put_audio("aac-adts", "aac", "-c:a aac", 1024, 1024)
put_audio("mp2", "mp2", "-c:a mp2", 1152, 481, reach_ms=20)
put_audio("ac3", "ac3", "-c:a ac3", 1536, 256, reach_ms=20)
put_audio("eac3", "eac3", "-c:a eac3", 1536, 256, reach_ms=20)
put_audio("dts", "dts", "-c:a dca", 512, 512, reach_ms=20)
put_audio("wavpack", "wv", "-c:a wavpack")
put_audio("tta", "tta", "-c:a tta")
put_audio("au", "au", "-c:a pcm_s16be")


def put_cover(ending, words):
    @case(f"cover-{ending}")
    def _(folder):
        ff(f"{folder}/cover.png", "-i", base(), "-frames:v 1 -an")
        path = ff(f"{folder}/cover.{ending}", "-i", base(), "-i", f"{folder}/cover.png",
                  "-map 0:a -map 1:v -c:v copy -disposition:v:0 attached_pic", words)
        return path, sound_only(LENGTH, cover=0, silent=[(LENGTH - Fraction(1, 20), LENGTH + 1)])


put_cover("mp3", "-c:a libmp3lame -id3v2_version 3")
put_cover("flac", "-c:a flac")
put_cover("m4a", "-c:a aac")

for n, words in {"mono": "1", "stereo": "2", "2.1": "3", "quad": "4", "5.0": "5", "5.1": "6",
                 "6.1": "7", "7.1": "8"}.items():
    @case(f"channels-{n}")
    def _(_folder, count=int(words)):
        return clip("channels.mov", frames=75, channels=count), steady(NTSC, 75)

for n, (codec, end) in {"5.1-aac": ("aac", "mp4"), "5.1-ac3": ("ac3", "ts"),
                        "5.1-opus": ("libopus -mapping_family 1", "mkv"),
                        "5.1-dts": ("dca", "mkv"), "7.1-flac": ("flac", "mkv")}.items():
    @case(f"channels-{n}")
    def _(folder, n=n, codec=codec, end=end):
        source = base(channels=6 if n[0] == "5" else 8)
        return recode(f"{folder}/many.{end}", source, "-c:v libx264 -preset ultrafast -c:a",
                      codec), steady(NTSC, 75, reach_ms=12 if "dts" in n else 8,
                              thin=[(Fraction(0), Fraction(1, 100))] if "opus" in n else [])

for hz in (8000, 11025, 16000, 22050, 24000, 32000, 44100, 88200, 96000, 192000):
    @case(f"hz-{hz}")
    def _(folder, hz=hz):
        path = recode(f"{folder}/hz.mov", base(), f"-c:v copy -c:a pcm_s24le -ar {hz}")
        return path, steady(NTSC, 75, has_bursts=hz > 12000)

for hz, codec, end in ((44100, "aac", "mp4"), (22050, "aac", "ts"), (44100, "libmp3lame", "mkv"),
                       (32000, "mp2", "ts"), (96000, "flac", "mkv"), (44100, "libvorbis", "mkv")):
    @case(f"hz-{hz}-{codec}-{end}")
    def _(folder, hz=hz, codec=codec, end=end):
        path = recode(f"{folder}/hz.{end}", base(),
                      f"-c:v libx264 -preset ultrafast -g 12 -ar {hz} -c:a {codec}")
        return path, steady(NTSC, 75, reach_ms=40 if codec == "mp2" else 5)


def put_languages(name, ending, wanted, words):
    @case(f"languages-{name}")
    def _(folder):
        path = ff(f"{folder}/languages.{ending}", "-i", base(), "-i",
                  clip("deu.mov", frames=75, number=9), "-map 0:v -map 1:a -map 0:a",
                  "-metadata:s:a:0 language=deu -metadata:s:a:1 language=eng", words)
        return path, steady(NTSC, 75), {"audio": [wanted]}


put_languages("mkv", "mkv", "en", "-c copy")
put_languages("mp4", "mp4", "eng", "-c:v libx264 -preset ultrafast -c:a aac")
put_languages("ts", "ts", "en-GB", "-c:v libx264 -preset ultrafast -c:a aac")

for frames in (30, 60, 120):
    @case(f"sound-of-{frames}-pictures")
    def _(_folder, frames=frames):
        want = steady(NTSC, 75, silent=[(Fraction(frames) / NTSC, LENGTH + 1)])
        want.bursts = bursts(NTSC, 0, min(frames, 75))
        return clip("length.mp4", frames=75, audio_frames=frames), want


@case("sound-of-120-pictures-mkv")
def long_sound(_folder):
    return clip("length.mkv", frames=75, audio_frames=120), steady(NTSC, 75)
