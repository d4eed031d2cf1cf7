"""bars.py: colour bars with known values, made and read back.

    bars.py make FORMAT MATRIX RANGE WxH [ALPHA...]  >raw picture
    bars.py check MATRIX WxH TOLERANCE [ALPHA...]    <raw yuv420p picture

FORMAT is a planar or packed pixel format of FFmpeg's, MATRIX 601, 709, 2020 or
(to make) ycgco, RANGE tv or pc.  Eight bars of 100 % and below them of 75 %; ALPHA (0 to 1)
gives rows of that alpha instead, and black is what lies below.  The arithmetic
is that of ITU-T H.273 clause 8.3, in floating point and nowhere shared with
the programs.
"""
import re
import struct
import sys

WEIGHTS = {'601': (0.299, 0.114), '709': (0.2126, 0.0722), '2020': (0.2627, 0.0593)}
BARS = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0),
        (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]


def ycc(rgb, matrix):
    if matrix == 'ycgco':
        r, g, b = rgb
        return g / 2 + (r + b) / 4, g / 2 - (r + b) / 4, (r - b) / 2
    kr, kb = WEIGHTS[matrix]
    r, g, b = rgb
    y = kr * r + (1 - kr - kb) * g + kb * b
    return y, (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))


def code(value, depth, is_full, is_chroma, steps=224):
    if is_full:
        top = (1 << depth) - 1
        value = value * top + ((1 << (depth - 1)) if is_chroma else 0)
        return max(0, min(top, round(value)))
    step = 1 << (depth - 8)
    return round((128 + steps * value if is_chroma else 16 + 219 * value) * step)


def rows(alphas):
    """(level, alpha) of each row of bars, from the top."""
    return [(1, a) for a in alphas] if alphas else [(1, 1), (.75, 1)]


def plane(values, width, height, size):
    """A plane of bars: values[row][bar]."""
    out = bytearray()
    for y in range(height):
        row = values[y * len(values) // height]
        for x in range(width):
            out += struct.pack('<B' if size == 1 else '<H', row[x * 8 // width])
    return bytes(out)


def make(pixels, matrix, rng, size, alphas):
    w, h = map(int, size.split('x'))
    full = rng == 'pc'
    grid = [[tuple(c * level for c in bar) for bar in BARS] for level, _ in rows(alphas)]
    opacity = [[a] * 8 for _, a in rows(alphas)]
    depth = int((re.search(r'p(\d+)', pixels) or [0, 8])[1])
    top = (1 << depth) - 1
    bytes_each = 1 if depth == 8 else 2
    if pixels in ('rgb24', 'rgba'):
        return b''.join(
            bytes(round(c * 255) for c in grid[y * len(grid) // h][x * 8 // w]) +
            (bytes([round(opacity[y * len(grid) // h][0] * 255)]) if pixels == 'rgba' else b'')
            for y in range(h) for x in range(w))
    out = b''
    if pixels.startswith('gbr'):
        for c in (1, 2, 0):
            out += plane([[round(p[c] * top) for p in row] for row in grid], w, h, bytes_each)
        return out
    dx, dy = {'420': (2, 2), '422': (2, 1), '444': (1, 1), '440': (1, 2), '411': (4, 1)}[
        re.search(r'4\d\d', pixels)[0]]
    steps = 219 if matrix == 'ycgco' else 224  # H.273: of R, G and B in limited range
    for c in range(3):
        values = [[code(ycc(p, matrix)[c], depth, full, c > 0, steps) for p in row]
                  for row in grid]
        out += plane(values, w // dx if c else w, h // dy if c else h, bytes_each)
    if pixels.startswith('yuva'):
        out += plane([[round(a * top) for a in row] for row in opacity], w, h, bytes_each)
    return out


def check(matrix, size, tolerance, alphas):
    w, h = map(int, size.split('x'))
    data = sys.stdin.buffer.read()
    faults = 0
    if len(data) < w * h * 3 // 2:
        sys.exit('bars.py: a picture of %d bytes is too short' % len(data))
    bands = rows(alphas)
    for i, (level, alpha) in enumerate(bands):
        for j, bar in enumerate(BARS):
            x, y = (2 * j + 1) * w // 16, (2 * i + 1) * h // (2 * len(bands))
            at = [y * w + x] + [w * h + c * (w * h // 4) + y // 2 * (w // 2) + x // 2
                                for c in (0, 1)]
            got = [data[k] for k in at]
            want = [code(v * alpha, 8, False, c > 0) for c, v in
                    enumerate(ycc([p * level for p in bar], matrix))]
            if max(abs(a - b) for a, b in zip(got, want)) > tolerance:
                print('bar %s at %d %%, alpha %g: got %s, wanted %s' %
                      (bar, level * 100, alpha, got, want), file=sys.stderr)
                faults += 1
    return faults


if __name__ == '__main__':
    if sys.argv[1] == 'make':
        sys.stdout.buffer.write(make(*sys.argv[2:6], [float(a) for a in sys.argv[6:]]))
    else:
        sys.exit(check(sys.argv[2], sys.argv[3], float(sys.argv[4]),
                       [float(a) for a in sys.argv[5:]]) and 1)
