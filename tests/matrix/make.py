"""make.py: coded clips, and what ffmpeg and a patch make of them."""
import os
import subprocess
from fractions import Fraction

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NTSC = Fraction(30000, 1001)


def run(words, **more):
    """A program whose failure is the test's."""
    done = subprocess.run(words, stderr=subprocess.PIPE, check=False, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)[:600]}: status {done.returncode}: "
                           f"{done.stderr.decode(errors='replace')[-600:]}")
    return done.stdout


def clip(name, rate=NTSC, frames=75, number=7, **options):
    """A coded clip, kept from run to run; its path."""
    words = [f"{ROOT}/tests/media.sh", name, "--clip", str(number), "--rate",
             str(Fraction(rate)), "--frames", str(frames)]
    for key, value in options.items():
        words.append("--" + key.replace("_", "-"))
        if value is not True:
            words.append(str(value))
    return run(words, stdout=subprocess.PIPE).decode().strip()


def base(rate=NTSC, frames=75, **options):
    """What most files are made from: all pictures whole, sound uncompressed."""
    return clip("base.mov", rate, frames, gop=1, bframes=0, crf=12, **options)


def ff(out, *words, **more):
    """ffmpeg; words are split at blanks, but for paths, which are given alone."""
    line = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1"]
    for word in words:
        line += [word] if os.path.isabs(word) else word.split()
    run(line + ["-strict", "-2", str(out)], **more)
    return out


def recode(out, source, *words):
    """One file with other codecs or in another container."""
    return ff(out, "-i", source, *words)


def read(path):
    with open(path, "rb") as file:
        return bytearray(file.read())


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def packets(path, stream):
    """(pts in seconds, size, position, is key) of a stream's packets."""
    text = run(["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries",
                "packet=pts_time,size,pos,flags", "-of", "compact=p=0:nk=0", path],
               stdout=subprocess.PIPE).decode()
    rows = []
    for line in text.splitlines():
        row = dict(word.split("=", 1) for word in line.split("|") if "=" in word)
        if "size" not in row:
            continue  # side data
        rows.append((float(row["pts_time"]) if row.get("pts_time", "N/A") != "N/A" else None,
                     int(row["size"]), int(row["pos"]) if row.get("pos", "N/A") != "N/A" else -1,
                     "K" in row["flags"]))
    return rows
