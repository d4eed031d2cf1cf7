"""Damages a media file at a known place: bits of the packets of one stream.

usage: hit.py FILE OUT STREAM FROM TO [EVERY]

STREAM is v or a.  Of each packet with FROM <= seconds since the first < TO a
byte in EVERY (40) is inverted, but for its first eight: what damage makes of
it is left to whoever reads it.  Prints how many packets were hit.
"""
import json
import subprocess
import sys


def packets(path, stream):
    text = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", stream + ":0",
         "-show_entries", "packet=pts_time,pos,size", "-of", "json", path],
        check=True, stdout=subprocess.PIPE).stdout
    return [p for p in json.loads(text)["packets"] if "pos" in p]


def main():
    path, out, stream = sys.argv[1:4]
    begin, end = float(sys.argv[4]), float(sys.argv[5])
    every = int(sys.argv[6]) if len(sys.argv) > 6 else 40
    with open(path, "rb") as file:
        data = bytearray(file.read())
    found = packets(path, stream)
    first = min(float(p["pts_time"]) for p in found)
    hit = 0
    for packet in found:
        if not begin <= float(packet["pts_time"]) - first < end:
            continue
        pos, size = int(packet["pos"]), int(packet["size"])
        for at in range(pos + 8 + every // 2, pos + size, every):
            data[at] ^= 0xFF
        hit += 1
    with open(out, "wb") as file:
        file.write(data)
    print(hit)


main()
