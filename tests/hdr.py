"""hdr.py: patches of known light in PQ, HLG or wide-gamut SDR, read back.

    hdr.py make KIND WxH                     >raw yuv420p10le picture
    hdr.py check KIND WxH MATRIX [PEAK]      <raw yuv420p picture

KIND is pq, hlg or sdr in the matrix of BT.2020, or pq-ictcp or hlg-ictcp.
Above greys from black to 4000 cd/m2, below the colours of BT.709 at 100 and at
200 cd/m2, all in BT.2020.  What they shall become is worked out here in
floating point, from ITU-R BT.2100, BT.2390, BT.2408, BT.1886 and BT.709.
"""
import struct
import sys

from bars import WEIGHTS, code, ycc

GREYS = [0, 1, 5, 20, 50, 100, 150, 203, 400, 600, 1000, 4000]
COLOURS = [(1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)]
WHITE = 203

M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


# ITU-R BT.2100 tables 6 and 7, in 4096ths
TO_LMS = ((1688, 2146, 262), (683, 2951, 462), (99, 309, 3688))
TO_ICTCP = {'pq': ((2048, 2048, 0), (6610, -13613, 7003), (17933, -17390, -543)),
            'hlg': ((2048, 2048, 0), (3625, -7465, 3840), (9500, -9212, -288))}


def times(m, v, unit=1):
    return [sum(a * b for a, b in zip(row, v)) / unit for row in m]


def inverse(m, unit=1):
    (a, b, c), (d, e, f), (g, h, i) = m
    det = (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) / unit
    return ((e * i - f * h) / det, (c * h - b * i) / det, (b * f - c * e) / det), \
        ((f * g - d * i) / det, (a * i - c * g) / det, (c * d - a * f) / det), \
        ((d * h - e * g) / det, (b * g - a * h) / det, (a * e - b * d) / det)


def pq(nits):
    y = max(nits, 0) / 10000
    return ((C1 + C2 * y ** M1) / (1 + C3 * y ** M1)) ** M2


def pq_inverse(e):
    n = e ** (1 / M2)
    return 10000 * (max(n - C1, 0) / (C2 - C3 * n)) ** (1 / M1)


def hlg(scene):
    from math import log, sqrt
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * log(4 * a)
    return sqrt(3 * scene) if scene <= 1 / 12 else a * log(12 * scene - b) + c


def hlg_inverse(x):
    from math import exp, log
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * log(4 * a)
    return x * x / 3 if x <= .5 else (exp((x - c) / a) + b) / 12


def scene_of(rgb):
    """Light of a 1000 cd/m2 display as that before the camera."""
    y = (0.2627 * rgb[0] + 0.6780 * rgb[1] + 0.0593 * rgb[2]) / 1000
    gain = 1 / (1000 * y ** (1 - 1 / 1.2)) if y > 0 else 0
    return [v * gain for v in rgb]


def to_2020(rgb):
    m = ((0.627404, 0.329283, 0.043313), (0.069097, 0.919540, 0.011362),
         (0.016391, 0.088013, 0.895595))  # ITU-R BT.2087 equation (2)
    return times(m, rgb)


def from_2020(rgb, most):
    m = ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349),
         (-0.018151, -0.100579, 1.118730))
    return [min(max(x, 0), most) for x in times(m, rgb)]


def roll_off(nits, peak):
    top = pq(peak)
    e, white = min(pq(nits) / top, 1), pq(WHITE) / top
    ks = 1.5 * white - .5
    if e < ks:
        return nits
    t = (e - ks) / (1 - ks)
    e = ((2 * t ** 3 - 3 * t ** 2 + 1) * ks + (t ** 3 - 2 * t ** 2 + t) * (1 - ks) +
         (-2 * t ** 3 + 3 * t ** 2) * white)
    return pq_inverse(e * top)


def patches(kind):
    """Rows of patches, each R, G, B in cd/m2 of BT.709's primaries."""
    most = {'hlg': 1000, 'sdr': WHITE}.get(kind[:3], 10000)
    # Zero is a difference of L, M and S, so a code of theirs is many of it.
    least = .1 if '-' in kind else 0
    return [[(min(n, most),) * 3 for n in GREYS],
            [tuple(max(v, least) * n for v in c) for n in (100, 200) for c in COLOURS]]


def signal(curve, light):
    if curve == 'pq':
        return [pq(v) for v in light]
    if curve == 'hlg':
        return [hlg(max(v, 0)) for v in light]
    return [max(v / WHITE, 0) ** (1 / 2.4) for v in light]


def light_of(curve, v):
    v = [min(max(x, 0), 1) for x in v]
    if curve == 'pq':
        return [pq_inverse(x) for x in v]
    if curve == 'hlg':
        return [hlg_inverse(x) for x in v]
    return [WHITE * x ** 2.4 for x in v]


def coded(kind, rgb):
    """Code values in 10 bits."""
    curve, _, coding = kind.partition('-')
    light = to_2020(rgb)
    if curve == 'hlg':
        light = scene_of(light)
    if coding == 'ictcp':
        values = times(TO_ICTCP[curve], signal(curve, times(TO_LMS, light, 4096)), 4096)
    else:
        values = ycc(signal(curve, light), '2020')
    return [code(x, 10, False, i > 0) for i, x in enumerate(values)]


def seen(kind, codes):
    """Light of code values: 10 bits are coarse where a colour is near zero."""
    curve, _, coding = kind.partition('-')
    y, cb, cr = (codes[0] - 64) / 876, (codes[1] - 512) / 896, (codes[2] - 512) / 896
    if coding == 'ictcp':
        v = light_of(curve, times(inverse(TO_ICTCP[curve], 4096), (y, cb, cr)))
        v = times(inverse(TO_LMS, 4096), v)
    else:
        kr, kb = WEIGHTS['2020']
        r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
        v = light_of(curve, (r, (y - kr * r - kb * b) / (1 - kr - kb), b))
    if curve == 'hlg':
        scene = 0.2627 * v[0] + 0.6780 * v[1] + 0.0593 * v[2]
        v = [1000 * scene ** .2 * x for x in v]
    return from_2020(v, WHITE if kind == 'sdr' else 10000)


def wanted(kind, rgb, peak, matrix):
    top = max(rgb)
    gain = 1 if kind == 'sdr' or top == 0 else min(roll_off(top, peak), WHITE) / top
    v = [min(c * gain / WHITE, 1) ** (1 / 2.4) for c in rgb]
    return [code(x, 8, False, i > 0) for i, x in enumerate(ycc(v, matrix))]


def make(kind, w, h, code_of=coded):
    grid = [[code_of(kind, p) for p in row] for row in patches(kind)]
    for c in range(3):
        pw, ph = (w // 2, h // 2) if c else (w, h)
        for y in range(ph):
            row = grid[y * 2 // ph]
            sys.stdout.buffer.write(
                struct.pack('<%dH' % pw, *(row[x * 12 // pw][c] for x in range(pw))))


def check(kind, w, h, matrix, peak, code_of=coded, light_seen=seen):
    data = sys.stdin.buffer.read()
    faults, before = 0, -1
    for i, row in enumerate(patches(kind)):
        for j, rgb in enumerate(row):
            x, y = (2 * j + 1) * w // 24, (2 * i + 1) * h // 4
            # the mean of a few: there is dither
            luma = sum(data[(y + k // 4) * w + x + k % 4] for k in range(16)) / 16
            at = [w * h + c * (w * h // 4) + y // 2 * (w // 2) + x // 2 for c in (0, 1)]
            got = [luma] + [data[k] for k in at]
            want = wanted(kind, light_seen(kind, code_of(kind, rgb)), peak, matrix)
            ideal = wanted(kind, rgb, peak, matrix)
            if max(abs(a - b) for a, b in zip(got, want)) > 2 or \
                    max(abs(a - b) for a, b in zip(got, ideal)) > 12:
                print('%s %s: got %s, wanted %s, at best %s' %
                      (kind, rgb, got, want, ideal), file=sys.stderr)
                faults += 1
            if i == 0:
                if luma < before or not 16 <= luma <= 235.5:
                    print('not monotone or out of range', file=sys.stderr)
                    faults += 1
                if rgb[0] == WHITE and kind != 'sdr' and peak == 1000 and \
                        not 211 <= luma <= 215:
                    print('white is not at 90 %', file=sys.stderr)
                    faults += 1
                before = luma
    return faults


if __name__ == '__main__':
    width, height = map(int, sys.argv[3].split('x'))
    if sys.argv[1] == 'make':
        make(sys.argv[2], width, height)
    else:
        sys.exit(check(sys.argv[2], width, height, sys.argv[4],
                       float((sys.argv[5:] or [1000])[0])) and 1)
