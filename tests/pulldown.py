"""pulldown.py: flags 2:3 pulldown in an MPEG-2 elementary stream, in to out.

The stream must be progressive, without B-pictures and of a height that is a
multiple of 32.  What the bits are: ITU-T H.262 6.2.2.1, 6.2.2.3 and 6.2.3.1.
"""
import re
import sys

data = bytearray(sys.stdin.buffer.read())
picture = 0
for match in re.finditer(b'\x00\x00\x01([\xb3\xb5])', bytes(data)):
    at = match.end()
    kind = data[at] >> 4
    if match[1] == b'\xb3':
        data[at + 3] = data[at + 3] & 0xf0 | 4  # frame_rate_code 30000/1001
    elif kind == 1:
        data[at + 1] &= ~0x08  # progressive_sequence 0
    elif kind == 8:
        # top_field_first and repeat_first_field of four pictures
        top, repeat = ((1, 1), (0, 0), (0, 1), (1, 0))[picture % 4]
        data[at + 3] = data[at + 3] & ~0x82 | top << 7 | repeat << 1
        picture += 1
sys.stdout.buffer.write(data)
