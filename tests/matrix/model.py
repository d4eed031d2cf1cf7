"""model.py: what a viewer should see of a file, known from how it was made.

A file's timeline is a list of pictures (time, number) and the times of the
bursts in its sound, as exact fractions of seconds from its first picture on.
Nothing in here asks a demuxer, so it cannot be wrong in the same way as what is
tested.
"""
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

HOUSE = Fraction(30000, 1001)
CLIP = 7  # of the file in the middle


@dataclass
class Want:
    """One file: `None` as a number is any picture, also one without a mark."""
    pictures: list                  # (time, number), in order
    end: Fraction                   # of the last picture
    bursts: list = None             # times; None: there is no sound at all
    silent: list = field(default_factory=list)   # (from, to): no sound there
    loose: list = field(default_factory=list)    # (from, to): damaged
    thin: list = field(default_factory=list)     # (from, to): sound may be missing
    reach_ms: float = 5             # a burst's distance from its time
    has_bursts: bool = True         # False: sound that cannot carry them
    tail: int = 0                   # so many last frames may be missing
    exact_seek: bool = True         # same pictures to the bit after a seek
    clip: int = CLIP                # whose sound it is
    hold: int = 0                   # played as so many frames, and held

    def length(self, since=0):
        """In house frames, halves up."""
        return max(floor((self.end - since / HOUSE) * HOUSE + Fraction(1, 2)), 0)

    def shown(self, since=0):
        """The number of each house frame."""
        if self.hold:
            return [self.pictures[0][1]] * self.hold
        times = [t for t, _ in self.pictures]
        return [self.pictures[max(bisect_right(times, (since + r) / HOUSE) - 1, 0)][1]
                for r in range(self.length(since))]

    def is_loose(self, t):
        return any(a <= t < b for a, b in self.loose)

    def is_free(self, t):
        """May a burst be missing here?"""
        return self.is_loose(t) or any(a <= t < b for a, b in self.thin)


def steady(rate, count, first=0, **more):
    """Pictures first to first + count - 1 of a clip at `rate`, and their sound."""
    rate = Fraction(rate)
    more.setdefault("bursts", bursts(rate, first, first + count))
    return Want([(n / rate, first + n) for n in range(count)], count / rate, **more)


def bursts(rate, first, last, origin=None):
    """Of pictures first to last - 1, counted from the time of `first`."""
    rate = Fraction(rate)
    origin = first / rate if origin is None else origin
    return [n / rate - origin for n in range(first, last) if n % 5 == 0]


def shifted(want, by, end=None):
    """Sound later by `by` seconds; what lies before the pictures is not heard."""
    end = want.end if end is None else end
    want.bursts = [t + by for t in want.bursts if 0 <= t + by < end]
    return want
