"""tones.py: amplitudes of tones in interleaved 16-bit sound on standard input.

    tones.py CHANNELS HZ...    a line a channel: amplitude of each tone, 1.0 is
                               full scale; a second at 48 kHz, 0.5 s in
"""
import math
import struct
import sys

channels = int(sys.argv[1])
data = sys.stdin.buffer.read()
samples = struct.unpack('<%dh' % (len(data) // 2), data)
for c in range(channels):
    part = samples[24000 * channels + c:72000 * channels:channels]
    assert len(part) == 48000, 'too short'
    out = []
    for hz in map(int, sys.argv[2:]):
        turn = 2 * math.pi * hz / 48000
        re = sum(v * math.cos(turn * i) for i, v in enumerate(part))
        im = sum(v * math.sin(turn * i) for i, v in enumerate(part))
        out.append('%.4f' % (2 * math.hypot(re, im) / 48000 / 32768))
    print(*out)
