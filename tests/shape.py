"""shape.py: where the picture lies between black bars.

    shape.py find WxH                  of a raw 8-bit grey picture: WxH+LEFT+TOP
    shape.py want WxH SAR WxH          of such a source in such a house
"""
import sys
from fractions import Fraction as F


def size(text):
    return tuple(int(v) for v in text.split('x'))


def find(w, h, data):
    rows = [y for y in range(h) if max(data[y * w:(y + 1) * w]) > 100]
    columns = [x for x in range(w) if max(data[x:w * h:w]) > 100]
    return (columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1, columns[0], rows[0])


def fit(length, most):
    """To the nearest even number, halves up; one that misses by two is full."""
    even = (length / 2 + F(1, 2)).__floor__() * 2
    return most if even >= most - 2 else max(even, 2)


def want(source, sar, house):
    shape = F(source[0], source[1]) * sar
    if F(house[0], house[1]) <= shape:
        w, h = house[0], fit(house[0] / shape, house[1])
    else:
        w, h = fit(house[1] * shape, house[0]), house[1]
    return w, h, (house[0] - w) // 4 * 2, (house[1] - h) // 4 * 2


if sys.argv[1] == 'find':
    got = find(*size(sys.argv[2]), sys.stdin.buffer.read())
else:
    got = want(size(sys.argv[2]), F(sys.argv[3].replace(':', '/')), size(sys.argv[4]))
print('%dx%d+%d+%d' % got)
