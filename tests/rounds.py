"""Does a summary's run list repeat a plan, round after round, from its start?

usage: rounds.py ROUND RUNS   (both as in rv-readmarks: '1:0-149 2:7-47')

Prints how many whole rounds were seen.  The last may be cut anywhere.  What
joins without a seam (1:100-100 then 1:101-149) is one run in both.
"""
import sys


def frames(runs):
    """Every frame as (clip, number); without a mark: (None, None)."""
    for run in runs.split():
        if run.startswith("-"):
            count = int(run.split("*")[1]) if "*" in run else 1
            for _ in range(count):
                yield (None, None)
            continue
        run, _, times = run.partition("*")
        clip, _, span = run.partition(":")
        first, _, last = span.partition("-")
        for number in range(int(first), int(last or first) + 1):
            for _ in range(int(times or 1)):
                yield (int(clip), number)


def main():
    wanted = list(frames(sys.argv[1]))
    seen = list(frames(sys.argv[2]))
    for place, frame in enumerate(seen):
        if frame != wanted[place % len(wanted)]:
            print(
                f"frame {place}: saw {frame}, wanted"
                f" {wanted[place % len(wanted)]}",
                file=sys.stderr,
            )
            return 1
    if len(seen) < len(wanted):
        print(f"only {len(seen)} frames of {len(wanted)}", file=sys.stderr)
        return 1
    print(len(seen) // len(wanted))
    return 0


sys.exit(main())
