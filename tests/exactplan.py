#!/usr/bin/python3
"""exactplan.py SEED COUNT MAX RATE CLIP:FRAMES:FILE...: a plan of random cuts.

Writes a plan of COUNT segments of 1 to MAX frames, cut anywhere in the files,
which hold marked clips at the house rate.  Standard output is the plan,
standard error what rv-readmarks must see: '1:17-23 2:4 ...'.
"""
import json
import random
import sys


def joined(segments):
    """Runs as rv-readmarks tells them: what goes on without a seam is one."""
    runs = []
    for clip, first, last in segments:
        if runs and runs[-1][0] == clip and runs[-1][2] + 1 == first:
            runs[-1][2] = last
        else:
            runs.append([clip, first, last])
    return " ".join(f"{clip}:{first}-{last}" if last > first else f"{clip}:{first}"
                    for clip, first, last in runs)


def main():
    seed, count, longest = (int(word) for word in sys.argv[1:4])
    rate = sys.argv[4]
    clips = [word.split(":", 2) for word in sys.argv[5:]]
    dice = random.Random(seed)
    plan, wanted = [], []
    for index in range(count):
        clip, frames, path = dice.choice(clips)
        # some of one to three frames stand in a row
        limit = min(3 if index % 10 in (3, 4, 5) else longest, int(frames))
        length = dice.randint(1, limit)
        first = dice.randint(0, int(frames) - length)
        # the same picture twice in a row would read as one that is repeated
        if wanted and wanted[-1][0] == int(clip) and wanted[-1][2] == first:
            first += 1 if first + length < int(frames) else -1
        wanted.append((int(clip), first, first + length - 1))
        plan.append({"id": f"s{index}", "asset": path, "in": f"{first}f",
                     "duration": f"{length}f"})
    json.dump({"version": 1, "house": {
        "video": {"width": 160, "height": 90, "frame_rate": rate},
        "audio": {"sample_rate": 48000, "channels": 2}}, "segments": plan}, sys.stdout)
    print(joined(wanted), file=sys.stderr)


main()
