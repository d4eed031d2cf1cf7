"""Figures of the whole chain, each beside a peer measured in the same run.

usage: bench.py BIN TESTS MEDIA-SCRIPT

1. CPU time for each output frame: rv-decode | rv-stage + rv-render against the
   ffmpeg command line that does the same conversion, encoding and muxing.
2. StartChannel to the first TS byte: against the length of a GOP.

Prints a table; nothing here passes or fails.
"""
import json
import os
import socket
import statistics
import subprocess
import sys
import time

from peers import ROUNDS, count_frames, environment, take_turns, work_folder

BIN, TESTS, MEDIA = sys.argv[1:4]
FRAMES = int(os.environ.get("BENCH_FRAMES", "600"))


def clip(name, *options):
    return subprocess.run(
        [MEDIA, name, *options], check=True, capture_output=True, text=True
    ).stdout.strip()


def chain(work, source, house, bitrate):
    """Both command lines for one conversion."""
    size, rate = house.split("@")
    ours = (
        f"rv-render --ring bench --no-pace --bitrate {bitrate}"
        f" >{work}/ours.ts & "
        f"rv-decode --house {house} {source} | rv-stage --ring bench"
        f" >/dev/null; wait $!"
    )
    width, height = size.split("x")
    theirs = (
        f"ffmpeg -nostdin -v error -y -i {source}"
        f" -vf fps={rate},scale={width}:{height}:flags=bicubic"
        f" -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v {bitrate}k"
        f" -maxrate {bitrate}k -bufsize {bitrate // 2}k -bf 0"
        f" -g 30 -sc_threshold 0 -x264-params rc-lookahead=4"
        f" -threads 1 -c:a aac -b:a 192k -ar 48000 -ac 2"
        f" -f mpegts {work}/theirs.ts"
    )
    return ours, theirs


def bench_chain(work):
    print("CPU time for each output frame (ms), median of", ROUNDS)
    print(f"{'conversion':34} {'ours':>8} {'ffmpeg':>8} {'ratio':>7}")
    cases = [
        ("720p29.97, same format", "1280x720", "30000/1001",
         "1280x720@30000/1001", 4000),
        ("1080p25 to 720p29.97", "1920x1080", "25",
         "1280x720@30000/1001", 4000),
    ]
    for name, size, rate, house, bitrate in cases:
        source = clip("bench.mp4", "--clip", "1", "--frames", str(FRAMES),
                      "--size", size, "--rate", rate)
        commands = chain(work, source, house, bitrate)
        used = take_turns(commands, environment(BIN, work))
        out = [count_frames(f"cat {work}/{n}.ts") for n in ("ours", "theirs")]
        ours = statistics.median(used[0]) / out[0] * 1000
        theirs = statistics.median(used[1]) / out[1] * 1000
        print(f"{name:34} {ours:8.3f} {theirs:8.3f} {ours / theirs:7.2f}"
              f"   ({out[0]} and {out[1]} frames)")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def first_byte(port, channel):
    """Waits for the first TS packet of the stream; it starts with a PAT."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(f"GET /channel/{channel}.ts HTTP/1.1\r\nHost: x\r\n\r\n"
                  .encode())
        seen = b""
        while b"\r\n\r\n" not in seen or len(seen.split(b"\r\n\r\n", 1)[1]) < 188:
            part = s.recv(65536)
            if not part:
                raise SystemExit(f"stream ended after {seen[:300]!r}")
            seen += part
        body = seen.split(b"\r\n\r\n", 1)[1]
        assert body[0] == 0x47 and body[1] & 0x1F == 0 and body[2] == 0
    return time.monotonic()


def bench_start(work):
    source = clip("start.mp4", "--clip", "1", "--frames", "300",
                  "--size", "1280x720")
    port = free_port()
    serve = subprocess.Popen(
        [f"{BIN}/rv-ctl", "serve", "--run-dir", f"{work}/serve",
         "--state-dir", f"{work}/state", "--listen", "127.0.0.1:0",
         "--metrics", "127.0.0.1:0", "--http-port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    hello = json.loads(serve.stdout.readline())
    address = f"unix:{hello['socket']}"
    waits = []
    for channel in range(1, 11):
        begin = time.monotonic()
        subprocess.run([f"{BIN}/rv-ctl", "--address", address, "start",
                        str(channel), source], check=True,
                       stdout=subprocess.DEVNULL)
        waits.append((first_byte(port, channel) - begin) * 1000)
        subprocess.run([f"{BIN}/rv-ctl", "--address", address, "stop",
                        str(channel)], check=True, stdout=subprocess.DEVNULL)
    serve.terminate()
    serve.wait(20)
    waits.sort()
    print("\nStartChannel (rv-ctl start) to the first TS byte of a keyframe")
    print(f"median {statistics.median(waits):.0f} ms, worst of 10"
          f" {waits[-1]:.0f} ms (promised: 2000 ms; a GOP lasts 1001 ms)")


def main():
    with work_folder() as work:
        bench_chain(work)
        bench_start(work)


main()
