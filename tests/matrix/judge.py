"""judge.py: a file between two coded clips, once from its start and once from
house frame 24 on; what comes out against what should.

    A 0-9 | file | B 0-9 | file from frame 24 | A 0-9
"""
import json
import os
import subprocess
from array import array
from fractions import Fraction
from math import sqrt

from make import ROOT, clip, run
from model import CLIP, HOUSE

AROUND = 10   # frames of a neighbour
SINCE = 24    # frames, where the second showing begins
LOUDEST = 0.3
EDGE = Fraction(30, 1000)  # of a segment: a codec's first or last frame
BIN = os.environ.get("RV_BIN", ROOT + "/build/bin")
TOOLS = os.environ.get("RV_TOOLS", ROOT + "/build/tests")
SIZE = (320, 180)


class Fault(Exception):
    """What a viewer would have seen."""


def neighbours():
    return (clip("around-a.mov", frames=30, number=1),
            clip("around-b.mp4", frames=30, number=2, gop=48))


def plan_of(path, want, options):
    a, b = neighbours()
    middle = {"asset": path, **options}
    if want.hold:
        middle.update(duration=f"{want.hold}f", pad="hold")
    segments = [{"asset": a, "duration": f"{AROUND}f"}, middle,
                {"asset": b, "duration": f"{AROUND}f"}]
    if want.length(SINCE) > 0 and not want.hold:
        segments += [{**middle, "in": f"{SINCE}f"}, {"asset": a, "duration": f"{AROUND}f"}]
    return {"version": 1, "house": {
        "video": {"width": SIZE[0], "height": SIZE[1], "frame_rate": str(HOUSE)},
        "audio": {"sample_rate": 48000, "channels": 2}}, "segments": segments}


def play(folder, path, want, options):
    """The plan through rv-plan and rv-decode: (marks, bursts, hashes, summary)."""
    plan, nut = f"{folder}/plan.json", f"{folder}/out.nut"
    with open(plan, "w", encoding="utf-8") as file:
        json.dump(plan_of(path, want, options), file)
    lines = run([f"{BIN}/rv-plan", "resolve", plan], stdout=subprocess.PIPE)
    with open(nut, "wb") as out:
        done = subprocess.run([f"{BIN}/rv-decode", "--nut"], input=lines, stdout=out,
                              stderr=subprocess.PIPE, check=False, timeout=120)
    if done.returncode:
        raise Fault(f"rv-decode: status {done.returncode}: "
                    + done.stderr.decode(errors="replace")[-800:])
    text = run([f"{TOOLS}/rv-readmarks", "--hash", "--summary", nut],
               stdout=subprocess.PIPE).decode().splitlines()
    rows = [line.split() for line in text[:-1]]
    summary = json.loads(text[-1])
    return ([(int(row[3]), int(row[4])) for row in rows],
            [Fraction(ticks) / 90000 for ticks in summary["burst_list"]],
            [row[5] for row in rows], summary)


def runs(numbers):
    """'0-4 5*3 -' of a list of numbers, None being '-'."""
    words, at = [], 0
    while at < len(numbers):
        to = at + 1
        if to < len(numbers) and numbers[to] == numbers[at]:
            while to < len(numbers) and numbers[to] == numbers[at]:
                to += 1
            words.append(f"{'-' if numbers[at] is None else numbers[at]}*{to - at}")
        else:
            while to < len(numbers) and None not in (numbers[to], numbers[at]) and \
                    numbers[to] == numbers[to - 1] + 1 and \
                    (to + 1 >= len(numbers) or numbers[to + 1] != numbers[to]):
                to += 1
            first, last = numbers[at], numbers[to - 1]
            words.append("-" if first is None else
                         f"{first}-{last}" if last != first else f"{first}")
        at = to
    return " ".join(words)


def is_neighbour(marks, at, number):
    return marks[at:at + AROUND] == [(number, n) for n in range(AROUND)]


def middle_length(marks, at):
    """Frames up to where B (or A) begins."""
    for end in range(at, len(marks) - AROUND + 1):
        if is_neighbour(marks, end, 2) or is_neighbour(marks, end, 1):
            return end - at
    raise Fault(f"no exact neighbour behind frame {at}: "
                + runs([n if c != CLIP else 1000 + n for c, n in marks[at:]]))


def check_pictures(marks, at, length, want, since):
    shown = want.shown(since)
    if not len(shown) - want.tail <= length <= len(shown):
        raise Fault(f"from {since}: {length} frames, not {len(shown)}: got "
                    + runs([n if c == CLIP else None for c, n in marks[at:at + length]])
                    + " wanted " + runs(shown))
    got = [n if c == CLIP else None for c, n in marks[at:at + length]]
    bad = [r for r in range(length) if shown[r] is not None and got[r] != shown[r]
           and not want.is_loose((since + r) / HOUSE)]
    if bad:
        raise Fault(f"from {since}: {len(bad)} pictures wrong, first at frame {bad[0]}: got "
                    + runs(got) + " wanted " + runs(shown))


def check_bursts(heard, wanted, begin, end, reach_ms, is_free):
    """Each burst at its place and none elsewhere; times in the output."""
    inside = [t for t in heard if begin + Fraction(4, 1000) <= t < end - Fraction(4, 1000)]
    left = [t for t in heard if begin - Fraction(6, 1000) <= t < end]
    for t in wanted:
        if t < begin or t > end - Fraction(8, 1000) or is_free(t - begin):
            continue
        near = [h for h in left if abs(h - t) <= Fraction(reach_ms) / 1000]
        if not near:
            off = min((h - t for h in left), key=abs, default=None)
            raise Fault(f"no burst at {float(t - begin):.3f} s of the segment; the nearest is "
                        + (f"{float(off) * 1000:.1f} ms off" if off is not None else "none"))
    for h in inside:
        if not is_free(h - begin) and \
                all(abs(h - t) > Fraction(reach_ms) / 1000 for t in wanted):
            raise Fault(f"a burst at {float(h - begin):.3f} s of the segment is too much")


def check_tone(summary, at, length, want, since):
    """No hole in the sound, and no other clip's, where there should be some."""
    begin = at / HOUSE

    def excused(a, b):
        a, b = a - begin + since / HOUSE, b - begin + since / HOUSE
        free = want.silent + want.loose + [
            (since / HOUSE - 1, since / HOUSE + EDGE),
            (want.end - EDGE - want.tail / HOUSE, want.end + 1)]
        t = a  # free stretches may touch
        for x, y in sorted(free):
            if x - EDGE <= t:
                t = max(t, y)
        return t + EDGE >= b

    for gap in summary["gap_list"]:
        a = Fraction(gap["pts_90k"]) / 90000
        b = a + Fraction(gap["ms"]) / 1000
        a, b = max(a, begin), min(b, begin + length / HOUSE)
        if b - a > Fraction(5, 1000) and not excused(a, b):
            raise Fault(f"silence from {float(a - begin):.3f} to {float(b - begin):.3f} s "
                        f"of the segment from {since}")
    wrong = [r - at for r in summary["wrong_sound_list"] if at <= r < at + length
             and not want.is_free((since + r - at) / HOUSE)]
    if wrong and want.bursts is not None:
        raise Fault(f"another tone under frames {wrong[:10]} of the segment from {since}")


def check_neighbour(marks, heard, summary, at, number):
    if not is_neighbour(marks, at, number):
        raise Fault(f"neighbour {number} at frame {at} is not whole: "
                    + runs([n if c == number else None for c, n in marks[at:at + AROUND]]))
    times = [(at + n) / HOUSE for n in range(0, AROUND, 5)]
    check_bursts(heard, times, at / HOUSE, (at + AROUND) / HOUSE, 1 if number == 1 else 3,
                 lambda t: False)
    for r in summary["wrong_sound_list"]:
        if at <= r < at + AROUND:
            raise Fault(f"another tone under frame {r - at} of neighbour {number}")


def check_middle(told, at, want, since):
    marks, heard, _, summary = told
    length = middle_length(marks, at)
    check_pictures(marks, at, length, want, since)
    begin, end = at / HOUSE, (at + length) / HOUSE
    if want.has_bursts:
        check_bursts(heard, [begin + t - since / HOUSE for t in want.bursts or []
                             if t >= since / HOUSE], begin, end, want.reach_ms,
                     lambda t: want.is_free(t + since / HOUSE))
    if want.bursts is not None:
        check_tone(summary, at, length, want, since)
    return length


def check_loudness(folder):
    """No noise: nothing is much louder than a burst over the tone, which has
    0.17 of full scale in 20 ms."""
    pcm = array("h", run(["ffmpeg", "-nostdin", "-v", "error", "-f", "nut", "-i",
                          f"{folder}/out.nut", "-ac", "1", "-f", "s16le", "-"],
                         stdout=subprocess.PIPE))
    for at in range(0, len(pcm), 960):
        block = pcm[at:at + 960]
        level = sqrt(sum(x * x for x in block) / len(block)) / 32768
        if level > LOUDEST:
            raise Fault(f"noise at {at / 48000:.3f} s of the output: {level:.2f} of full scale")


def check_told(folder, length):
    """What rv-plan says before anything is played."""
    text = subprocess.run([f"{BIN}/rv-plan", "check", "--json", f"{folder}/plan.json"],
                          stdout=subprocess.PIPE, check=False).stdout
    for line in text.splitlines():
        row = json.loads(line)
        told = row.get("explain", {}).get("length")
        if row["field"] == "segments[1].asset" and told and told["frames"] != length:
            raise Fault(f"{length} frames are played, rv-plan check says {told['frames']} "
                        f"by {told['by']}")


def judge(folder, path, want, options):
    """Raises Fault with what is wrong; gives the length."""
    told = play(folder, path, want, options)
    marks, heard, hashes, summary = told
    if marks[:AROUND] != [(1, n) for n in range(AROUND)]:
        raise Fault("the first neighbour is not whole")
    check_neighbour(marks, heard, summary, 0, 1)
    length = check_middle(told, AROUND, want, 0)
    if not want.hold:
        check_told(folder, length)
    if want.loose:
        check_loudness(folder)
    at = AROUND + length
    check_neighbour(marks, heard, summary, at, 2)
    at += AROUND
    if at == len(marks):
        return length
    again = check_middle(told, at, want, SINCE)
    check_neighbour(marks, heard, summary, at + again, 1)
    if len(marks) != at + again + AROUND:
        raise Fault(f"{len(marks) - at - again - AROUND} frames too many at the end")
    if again != length - SINCE:
        raise Fault(f"{again} frames from frame {SINCE} on of {length}")
    if want.exact_seek:
        for r in range(again):
            if hashes[at + r] != hashes[AROUND + SINCE + r]:
                raise Fault(f"after a seek, frame {SINCE + r} is another picture")
    return length
