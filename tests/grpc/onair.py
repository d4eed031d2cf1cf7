#!/usr/bin/python3
"""onair.py GENERATED ADDRESS SCENARIO COUNT SEED URL OUT PLAN CLIP:FRAMES:FILE...

Changes the programme of a channel COUNT times at random moments, then compares
every picture that a viewer got with what must be on the air on that frame.
The plan loops over marked clips at 29.97 and shows no picture twice; each CLIP
has as many FRAMES.  Prints figures as JSON; fails with the first wrong frame.

    switches  LoadPreview and SwitchToLive, some at a set time, some twice
    shorts    the same with previews of up to 45 frames, most of which end with
              their asset before what was asked for, and many at once
    updates   UpdatePlan between plans that hold the same segments in another
              order, and the same plan again
"""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import conversation as talk  # noqa: E402
from viewer import Viewer  # noqa: E402

STEP = 3003  # 90 kHz ticks of a frame at 29.97
FRAME_MS = STEP / 90
INTAKE_MS = 800
PREVIEW_MS = 3000  # the longest from a load to its switch, and an intake
SHORT = 3  # frames of the shortest preview
SHORT_MOST = 45  # and of the longest of the short ones


def percentile(values, part):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(part * len(values)))], 1) if values else None


def timed(function, *arguments, **more):
    begin = time.time()
    answer = function(*arguments, **more)
    return answer, begin, (time.time() - begin) * 1000


def frames_of(plan, clips):
    """Every (clip, frame) of one round of a plan file; durations are in frames."""
    numbers = {path: clip for clip, _, path in clips}
    shown = []
    for segment in plan["segments"]:
        first = int(segment["in"][:-1])
        shown += [(numbers[segment["asset"]], first + i)
                  for i in range(int(segment["duration"][:-1]))]
    return shown


def check_steps(pictures):
    for (before, _), (after, _) in zip(pictures, pictures[1:]):
        assert after - before == STEP, f"PTS {before}, then {after}"


# --- previews -----------------------------------------------------------------


def any_part(dice, frames):
    """start_frame and frame_count of a preview out of so many frames."""
    return dice.randrange(frames - SHORT), dice.choice([0, -1, dice.randint(SHORT, 90)])


def short_part(dice, frames):
    """The same of a short one: exactly, or to the end, or beyond it."""
    length = dice.randint(SHORT, SHORT_MOST)
    return dice.choice([(dice.randrange(frames - SHORT_MOST), length),
                        (frames - length, -1), (frames - length, length + 37)])


def one_switch(control, dice, clips, cuts, figures, part_of):
    """Load a preview, wait a random while, switch to it; what came of it."""
    asset, first, count = None, 0, 0
    live = max(cuts, key=lambda cut: cut["ms"], default={"ms": 0, "frames": 0})
    over = live["ms"] + live["frames"] * FRAME_MS
    if time.time() * 1000 + PREVIEW_MS > over:  # else it would follow by itself
        time.sleep(max(0, over / 1000 - time.time()))
    for _ in range(2 if dice.random() < 0.15 else 1):  # replaced by a second one
        asset = dice.choice(clips)
        first, count = part_of(dice, asset[1])
        loaded, _, took = timed(control.load, 1, asset[2], start_frame=first, frame_count=count)
        assert loaded.success and loaded.result_code == talk.OK, loaded
        figures["load"].append(took)
    if part_of is any_part or dice.random() < 0.5:
        time.sleep(dice.uniform(0, 0.5))
    is_timed = dice.random() < 0.2

    at = int(time.time() * 1000 + dice.uniform(200, 2500)) if is_timed else 0
    cut, begin, took = timed(control.switch, 1, at)
    is_armed = cut.result_code == talk.NOT_READY
    if is_armed:
        assert not cut.success and cut.violation_reason, cut
        figures["armed"] += 1
        if dice.random() < 0.3 and control.switch(1, at).result_code == talk.NOT_READY:
            busy = control.load(1, clips[0][2])
            assert busy.result_code in (talk.BUSY, talk.OK), busy
            if busy.result_code == talk.OK:  # it fired in between
                return figures.update(skipped=figures["skipped"] + 1)

        def is_done():
            nonlocal cut
            cut = control.switch(1, at)
            return cut.result_code == talk.OK
        talk.until(is_done, "the armed switch")
    assert cut.success and cut.result_code == talk.OK, cut
    figures["not_contiguous"] += not cut.pts_contiguous
    if dice.random() < 0.3:
        again = control.switch(1)
        assert (again.live_start_pts, again.switch_completion_time_ms) == (
            cut.live_start_pts, cut.switch_completion_time_ms), (cut, again)
        assert again.success and again.result_code == talk.OK, again
    if is_timed and not cut.violation_reason:
        off = abs(cut.switch_completion_time_ms - at)
        assert off <= FRAME_MS / 2 + 1, f"{off} ms beside the target {at}, armed {is_armed}: {cut}"
        figures["on_target"] += 1
    elif is_timed:
        figures["late"] += 1
    elif not is_armed:
        figures["call"].append(took)
    length = asset[1] - first if count <= 0 else min(count, asset[1] - first)
    cuts.append({"pts": cut.live_start_pts, "ms": cut.switch_completion_time_ms,
                 "clip": asset[0], "first": first, "frames": length,
                 "asked": [count, at], "called": None if is_timed or is_armed else begin * 1000})


def check_switches(pictures, arrivals, round_, cuts, figures):
    """Each picture is the plan's on its frame, or the latest preview's."""
    check_steps(pictures)
    begin = pictures[0][0]
    origin = round_.index(pictures[0][1])
    starts = {cut["pts"]: cut for cut in cuts}
    assert len(starts) == len(cuts), "two cuts with the same PTS"
    seen = {pts for pts, _ in pictures}
    missing = [pts for pts in starts if pts not in seen]
    assert not missing, f"no picture has the PTS {missing} of an answer"
    live = None
    for place, (pts, mark) in enumerate(pictures):
        live = starts.get(pts, live)
        wanted = round_[(origin + (pts - begin) // STEP) % len(round_)]
        if live and pts < live["pts"] + live["frames"] * STEP:
            wanted = (live["clip"], live["first"] + (pts - live["pts"]) // STEP)
        if mark is None:
            figures["slate"].append({"pts": pts, "wanted": wanted, "cut": live})
            continue
        assert mark == wanted, (
            f"picture {place}, PTS {pts}: saw {mark}, wanted {wanted}, in {live};"
            f" around it {[one[1] for one in pictures[max(0, place - 3):place + 4]]}")
    deadlines = [cut["ms"] - cut["pts"] / 90 for cut in cuts]
    figures["deadline_spread_ms"] = round(max(deadlines) - min(deadlines), 2)
    assert figures["deadline_spread_ms"] <= 2, "completion times are no deadlines"
    wire = [arrivals[cut["pts"]] * 1000 - cut["called"] for cut in cuts if cut["called"]]
    late = [arrivals[cut["pts"]] * 1000 - cut["ms"] for cut in cuts]
    figures["wire_ms"] = {"p50": percentile(wire, 0.5), "p99": percentile(wire, 0.99),
                          "max": percentile(wire, 1)}
    figures["arrival_minus_deadline_ms"] = [percentile(late, 0), percentile(late, 1)]


def shorts(*arguments):
    switches(*arguments, part_of=short_part)


def switches(control, count, dice, url, out, plan, clips, part_of=any_part):
    cuts = []
    figures = {"load": [], "call": [], "armed": 0, "late": 0, "on_target": 0, "skipped": 0,
               "not_contiguous": 0, "slate": []}
    with open(plan, encoding="utf-8") as file:
        round_ = frames_of(json.load(file), clips)
    assert len(set(round_)) == len(round_), "a picture is twice in the plan"
    control.start(1, plan)
    talk.until(lambda: control.status(1).state == 2, "ready")
    viewer = Viewer(url, out)
    talk.until(lambda: viewer.size > 0, "a first byte")
    end = time.monotonic() + float(os.environ.get("ONAIR_SECONDS", "100000"))
    for _ in range(count):
        if time.monotonic() > end:
            break
        one_switch(control, dice, clips, cuts, figures, part_of)
        time.sleep(dice.choice([0, dice.uniform(0, 1.5)]))
    last = max(cut["ms"] for cut in cuts) / 1000
    time.sleep(max(0, last - time.time()) + 4)
    viewer.stop()
    check_switches(viewer.pictures(), viewer.arrivals(), round_, cuts, figures)
    for name in ("load", "call"):
        values = figures.pop(name)
        figures[name + "_ms"] = {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99),
                                 "max": percentile(values, 1)}
    figures["cuts"] = len(cuts)
    print(json.dumps(figures))
    assert not figures["slate"] and not figures["not_contiguous"], "slate in the programme"
    assert figures["call_ms"]["p99"] <= 100, "a call took more than 100 ms"
    assert figures["wire_ms"]["p99"] <= INTAKE_MS + 100, "a cut was late on the wire"


# --- plans --------------------------------------------------------------------


def check_updates(pictures, orders, calls, arrivals):
    """Each picture follows the one before, in the order of a plan in force.

    A plan that comes right before a seam may cost slate there while its next
    segment is decoded (promise: 500 ms); the timeline goes on below it.
    """
    check_steps(pictures)
    holes, hole = [], 0
    on_air = {pictures[0][1]}
    for pts, mark in pictures[1:]:
        came = arrivals[pts]
        # the orders that may be in force: all since the last that surely is
        sure = sum(1 for call in calls if came > call["end"] + 1.5)
        begun = sum(1 for call in calls if came > call["begin"])
        wanted = {orders[calls[i - 1]["plan"] if i else 0][before]
                  for i in range(sure, begun + 1) for before in on_air}
        if mark is None:
            assert begun > sure, f"PTS {pts}: slate, and no new plan, in place of {wanted}"
            hole, on_air = hole + 1, wanted
            continue
        assert mark in wanted, f"PTS {pts}: {on_air}, then {mark}, not one of {wanted}"
        if hole:
            holes.append(hole)
        hole, on_air = 0, {mark}
    return holes


def updates(control, count, dice, url, out, plan, clips):
    """Between orders of the same segments: what is on air keeps its place."""
    with open(plan, encoding="utf-8") as file:
        first = json.load(file)
    names, orders = [plan], []
    for number in range(1, 4):
        other = dict(first, segments=dice.sample(first["segments"], len(first["segments"])))
        names.append(f"{plan}.{number}.json")
        with open(names[-1], "w", encoding="utf-8") as file:
            json.dump(other, file)
    for name in names:
        with open(name, encoding="utf-8") as file:
            round_ = frames_of(json.load(file), clips)
        orders.append(dict(zip(round_, round_[1:] + round_[:1])))
    control.start(1, plan)
    talk.until(lambda: control.status(1).state == 2, "ready")
    viewer = Viewer(url, out)
    talk.until(lambda: viewer.size > 0, "a first byte")
    calls, took, same = [], [], 0
    for _ in range(count):
        time.sleep(dice.uniform(0.1, 3))
        chosen = calls[-1]["plan"] if calls and dice.random() < 0.2 else dice.randrange(4)
        same += bool(calls) and chosen == calls[-1]["plan"]
        answer, begin, ms = timed(control.update, 1, names[chosen])
        assert answer.success, answer
        calls.append({"plan": chosen, "begin": begin, "end": time.time()})
        took.append(ms)
    time.sleep(4)
    viewer.stop()
    pictures = viewer.pictures()
    holes = check_updates(pictures, orders, calls, viewer.arrivals())
    print(json.dumps({"updates": count, "same_again": same, "pictures": len(pictures),
                      "slate_frames": holes, "call_ms": {
        "p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "max": max(took)}}))
    assert not holes or max(holes) * FRAME_MS <= 500, "a hole of more than 500 ms"


def main():
    count, seed, url, out, plan = talk.ARGUMENTS[:5]
    clips = [(int(clip), int(frames), path) for clip, frames, path in
             (word.split(":", 2) for word in talk.ARGUMENTS[5:])]
    scenario = {"switches": switches, "shorts": shorts, "updates": updates}[sys.argv[3]]
    with talk.grpc.insecure_channel(talk.ADDRESS) as connection:
        scenario(talk.Control(connection), int(count), random.Random(int(seed)), url, out,
                 plan, clips)


main()
