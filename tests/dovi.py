"""dovi.py: patches of known light in Dolby Vision's own colours, made and read.

    dovi.py make WxH KIND...              >raw yuv420p10le pictures, one a KIND
    dovi.py rpu KIND... <HEVC             >the same with an RPU behind each picture
    dovi.py plus <HEVC                    >the same with HDR10+ before each picture
    dovi.py box PROFILE ID FILE.mp4       >the same with its configuration
    dovi.py hurt SEED [sealed] <HEVC      >the same with bits of its RPUs flipped,
                                           and their CRC put right again
    dovi.py check WxH MATRIX KIND [PEAK]  <raw yuv420p picture

KIND is how a picture is reshaped: plain (not at all), pieces (polynomials in
pieces), mmr; as metadata alone also base (profile 8, of a picture that is
complete without) or none.  The patches are those of hdr.py, which says what
they shall become; here is IPT-PQ-c2 and what undoes it, in floating point and
nowhere shared with the programs.
"""
import random
import struct
import sys

import hdr

# HPE cones by BT.2020's primaries, then 2 % of each of the two others' light
CONES = ((7222, 8771, 390), (2654, 12430, 1300), (0, 422, 15962))  # 16384ths
LEAK = ((.96, .02, .02), (.02, .96, .02), (.02, .02, .96))
TO_IPT = ((.4, .4, .2), (4.455, -4.851, .396), (.8056, .3572, -1.1628))  # Ebner, Fairchild
NEUTRAL = (0, .5, .5)
PEAK = 1000

PLAIN = [(0, 1023), [(0, 1)]]
PIECES = [[(0, 200, 600, 1023), [(0, .7, 0.4), (-.0147, .85, .0336), (.0346, .68, .18)]],
          [(0, 512, 1023), [(.1, .8), (.05, .9)]],
          [(0, 1023), [(.15, .6, .2)]]]
# constant, then for each power of y, u, v, yu, yv, uv, yuv a factor
MMR = [[(0, 1023), [(.02, .9)]],
       [(0, 1023), [(.03, [.02, .8, .03, .1, -.05, .04, .02])]],
       [(0, 1023), [(-.02, [.01, .02, .9, .03, .08, -.04, .02],
                     [-.02, .03, .05, .01, .02, .03, -.02],
                     [.01, -.01, .02, .01, .01, .02, .03])]]]
CURVES = {'plain': [PLAIN] * 3, 'pieces': PIECES, 'mmr': MMR, 'base': [PLAIN] * 3}


# --- colours ------------------------------------------------------------------

def reshape(kind, x):
    """Three signals as they are coded, in 0 to 1, reshaped."""
    y, u, v = x
    out = []
    for c, (pivots, pieces) in enumerate(CURVES[kind]):
        piece = pieces[max(i for i in range(len(pieces)) if i == 0 or x[c] >= pivots[i] / 1024)]
        if len(piece) > 1 and isinstance(piece[1], list):
            terms = [y, u, v, y * u, y * v, u * v, y * u * v]
            value = piece[0] + sum(f * t ** (k + 1) for k, row in enumerate(piece[1:])
                                   for f, t in zip(row, terms))
        else:
            value = sum(f * x[c] ** k for k, f in enumerate(piece))
        out.append(min(max(value, 0), 1))
    return out


def unshape(kind, wanted):
    """The reverse of reshape(): what each signal misses is added to it."""
    x = list(wanted)
    for _ in range(200):
        x = [min(max(a + (b - c), 0), 1) for a, b, c in zip(x, wanted, reshape(kind, x))]
    return x


def coded(kind, rgb):
    lms = hdr.times(LEAK, hdr.times(CONES, hdr.to_2020(rgb), 16384))
    ipt = hdr.times(TO_IPT, [hdr.pq(v) for v in lms])
    x = unshape(kind, [a + b for a, b in zip(ipt, NEUTRAL)])
    return [min(round(v * 1024), 1023) for v in x]


def seen(kind, codes):
    ipt = [a - b for a, b in zip(reshape(kind, [c / 1024 for c in codes]), NEUTRAL)]
    lms = [hdr.pq_inverse(min(max(v, 0), 1)) for v in hdr.times(hdr.inverse(TO_IPT), ipt)]
    light = hdr.times(hdr.inverse(CONES, 16384), hdr.times(hdr.inverse(LEAK), lms))
    return hdr.from_2020(light, 10000)


# --- RPU ----------------------------------------------------------------------

class Bits:
    def __init__(self):
        self.text = ''

    def n(self, count, *values):
        for value in values:
            self.text += format(value & ((1 << count) - 1), '0%db' % count)

    def ue(self, *values):
        for value in values:
            code = bin(value + 1)[2:]
            self.text += '0' * (len(code) - 1) + code

    def coefficient(self, value):
        """A whole part in se(v) and 23 bits behind the point."""
        fixed = round(value * (1 << 23))
        whole = fixed >> 23
        self.ue(2 * whole - 1 if whole > 0 else -2 * whole)
        self.n(23, fixed)

    def bytes(self):
        text = self.text + '0' * (-len(self.text) % 8)
        return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def crc32(data):
    """CRC-32/MPEG-2."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x104c11db7 if crc >> 31 else 0)) & 0xffffffff
    return crc


def mapping(bits, kind):
    bits.ue(0, 0, 0)  # vdr_rpu_id, mapping_color_space, mapping_chroma_format_idc
    for pivots, _ in CURVES[kind]:
        bits.ue(len(pivots) - 2)
        for i, pivot in enumerate(pivots):
            bits.n(10, pivot - (pivots[i - 1] if i else 0))
    bits.ue(0, 0)  # partitions
    for _, pieces in CURVES[kind]:
        for piece in pieces:
            is_mmr = isinstance(piece[1], list)
            bits.ue(1 if is_mmr else 0)
            if is_mmr:
                bits.n(2, len(piece) - 2)
            else:
                bits.ue(len(piece) - 2)
                if len(piece) == 2:
                    bits.n(1, 0)  # linear_interp_flag
            for row in piece:
                for value in row if isinstance(row, list) else [row]:
                    bits.coefficient(value)


def colours(bits, kind):
    bits.ue(0, 0, 1)  # affected and current metadata, scene refresh
    if kind == 'base':
        bits.n(16, 9574, 0, 13802, 9574, -1540, -5348, 9574, 17610, 0)
        bits.n(32, 1 << 24, 1 << 27, 1 << 27)
        bits.n(16, *(v for row in CONES for v in row))
    else:
        bits.n(16, *(round(v * 8192) for row in hdr.inverse(TO_IPT) for v in row))
        bits.n(32, *(round(v * (1 << 28)) for v in NEUTRAL))
        bits.n(16, *(round(v * 16384) for row in hdr.inverse(LEAK) for v in row))
    bits.n(16, 65535, 0, 0)
    bits.n(32, 0)
    bits.n(5, 12)
    bits.n(2, 0 if kind == 'base' else 2, 0, 1)
    bits.n(12, 7, round(hdr.pq(PEAK) * 4095))
    bits.n(10, 42)
    bits.ue(0)  # no extension blocks


def rpu(kind):
    bits = Bits()
    is_base = kind == 'base'
    bits.n(6, 2)
    bits.n(11, 18)
    bits.n(4, 1 if is_base else 0, 0)
    bits.n(1, 1, 0)
    bits.n(2, 0)
    bits.ue(23)
    bits.n(2, 1)
    bits.n(1, 0 if is_base else 1)
    bits.ue(2, 2, 4)  # bits of base layer, enhancement layer, result, less 8
    bits.n(1, 0)
    bits.n(3, 0)
    bits.n(1, 0, 1)  # no residual
    bits.n(1, 1, 0)  # colours are told, the mapping is no former one
    mapping(bits, kind)
    colours(bits, kind)
    data = bits.bytes()
    return escaped(b'\x19' + data + struct.pack('>I', crc32(data)) + b'\x80')


def hdr10_plus():
    """An SEI message of ITU-T T.35, SMPTE ST 2094-40 in it."""
    bits = Bits()
    bits.n(8, 0xb5, 0, 0x3c, 0, 1, 4, 1)
    bits.n(2, 1)  # window
    bits.n(27, 400)
    bits.n(1, 0)
    bits.n(17, 50000, 50000, 50000, 1000)
    bits.n(4, 0)  # percentiles
    bits.n(10, 0)
    bits.n(1, 0, 0, 0)  # no peaks, no curve, no saturation
    data = bits.bytes()
    return escaped(b'\x4e\1' + bytes([4, len(data)]) + data + b'\x80')


def escaped(data):
    out = bytearray()
    for byte in data:
        if out[-2:] == b'\0\0' and byte <= 3:
            out.append(3)
        out.append(byte)
    return bytes(out)


# --- files --------------------------------------------------------------------

def units(stream):
    return [u.rstrip(b'\0') for u in stream.split(b'\0\0\1')[1:]]


def with_rpus(stream, kinds):
    out, at = b'', 0
    for unit in units(stream):
        out += b'\0\0\0\1' + unit
        if unit[0] >> 1 & 63 < 32:  # a slice, of one a picture
            kind = kinds[at % len(kinds)]
            at += 1
            if kind != 'none':
                out += b'\0\0\0\1\x7c\1' + rpu(kind)
    return out


def with_plus(stream):
    return b''.join((b'\0\0\0\1' + hdr10_plus() if unit[0] >> 1 & 63 < 32 else b'') +
                    b'\0\0\0\1' + unit for unit in units(stream))


def hurt(stream, seed, is_sealed):
    rnd = random.Random(seed)
    out = b''
    for unit in units(stream):
        if unit[0] >> 1 & 63 == 62:
            data = bytearray(unit[2:].replace(b'\0\0\3', b'\0\0'))
            for _ in range(rnd.randrange(1, 9)):
                data[rnd.randrange(1, len(data) - 5)] ^= 1 << rnd.randrange(8)
            if is_sealed:
                data[-5:-1] = struct.pack('>I', crc32(data[1:-5]))
            unit = unit[:2] + escaped(bytes(data))
        out += b'\0\0\0\1' + unit
    return out


def with_box(data, profile, compatibility):
    """The box dvcC at the end of the first sample entry; moov is behind mdat."""
    level = 1
    box = struct.pack('>I4s4B20x', 32, b'dvcC', 1, 0, profile << 1 | level >> 5,
                      (level & 31) << 3 | 5)
    box = box[:12] + bytes([compatibility << 4]) + box[13:]
    box = struct.pack('>I', len(box)) + box[4:]
    data, at = bytearray(data), 0
    for name, skip in ((b'moov', 8), (b'trak', 8), (b'mdia', 8), (b'minf', 8), (b'stbl', 8),
                       (b'stsd', 16), (b'hev1', 0)):
        while data[at + 4:at + 8] != name:
            at += struct.unpack('>I', data[at:at + 4])[0]
        size = struct.unpack('>I', data[at:at + 4])[0]
        data[at:at + 4] = struct.pack('>I', size + len(box))
        end = at + size
        at += skip
    data[end:end] = box
    return bytes(data)


def main(verb, args):
    out = sys.stdout.buffer
    if verb == 'make':
        w, h = map(int, args[0].split('x'))
        for kind in args[1:]:
            hdr.make('pq-ipt', w, h, lambda _, rgb, kind=kind: coded(kind, rgb))
    elif verb == 'rpu':
        out.write(with_rpus(sys.stdin.buffer.read(), args))
    elif verb == 'plus':
        out.write(with_plus(sys.stdin.buffer.read()))
    elif verb == 'hurt':
        out.write(hurt(sys.stdin.buffer.read(), int(args[0]), len(args) > 1))
    elif verb == 'box':
        with open(args[2], 'rb') as file:
            out.write(with_box(file.read(), int(args[0]), int(args[1])))
    else:
        w, h = map(int, args[0].split('x'))
        kind = args[2]
        return hdr.check('pq-ipt', w, h, args[1], float((args[3:] or [PEAK])[0]),
                         lambda _, rgb: coded(kind, rgb), lambda _, codes: seen(kind, codes))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2:]) and 1)
