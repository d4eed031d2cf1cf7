"""cases.py: the files of the matrix, by name: what makes one in a folder, and
what should be seen of it."""
from registry import CASES
import case_codecs      # noqa: F401
import case_pictures    # noqa: F401
import case_sound       # noqa: F401
import case_times       # noqa: F401
import case_damage      # noqa: F401
import case_odd         # noqa: F401

# One of each kind that was wrong once, for a small selection.
KNOWN_FAULTS = ("start-wrap-at-1s-ts", "splice-pids-ts", "damage-zero-avi", "h264-flv",
                "mpeg4-bframes-avi", "vfr-gap-mp4", "vfr-60-to-10-mp4", "vfr-slides-mp4")

assert set(KNOWN_FAULTS) <= set(CASES)
assert len(CASES) >= 60
