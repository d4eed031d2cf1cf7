"""viewer: takes a channel's stream, and when each picture of it came.

Used by onair.py.  A Viewer writes what it gets to a file and remembers when;
pictures() then gives each decoded picture with its PTS, mark and arrival.
"""
import bisect
import json
import os
import socket
import subprocess
import threading
import time
from urllib.parse import urlparse


class Viewer(threading.Thread):
    def __init__(self, url, path):
        super().__init__(daemon=True)
        self.path, self.size, self.is_over = path, 0, False
        self.offsets, self.times = [], []
        where = urlparse(url)
        self.peer = socket.create_connection((where.hostname, where.port), timeout=20)
        self.peer.sendall(f"GET {where.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.start()

    def run(self):
        head = b""
        with open(self.path, "wb") as out:
            while not self.is_over:
                data = self.peer.recv(1 << 16)
                now = time.time()
                if not data:
                    return
                if b"\r\n\r\n" not in head:
                    head += data
                    data = head.partition(b"\r\n\r\n")[2]
                out.write(data)
                self.size += len(data)
                self.offsets.append(self.size)
                self.times.append(now)

    def stop(self):
        self.is_over = True
        self.join(5)

    def arrivals(self):
        """When the first byte of each picture came, by its PTS."""
        with open(self.path, "rb") as file:
            stream = file.read()
        came = {}
        for at in range(0, len(stream) - 187, 188):
            if not stream[at + 1] & 0x40:
                continue
            head = at + 4 + (1 + stream[at + 4] if stream[at + 3] & 0x20 else 0)
            if stream[head:head + 3] != b"\0\0\1" or stream[head + 3] & 0xF0 != 0xE0:
                continue
            p = stream[head + 9:head + 14]
            pts = ((p[0] >> 1 & 7) << 30 | p[1] << 22 | p[2] >> 1 << 15 |
                   p[3] << 7 | p[4] >> 1)
            came[pts] = self.times[bisect.bisect_right(self.offsets, at)]
        return came

    def pictures(self):
        """[(pts, (clip, frame) or None)] in order, as decoded."""
        text = subprocess.run([os.environ["TOOLS"] + "/rv-readmarks", "--json", self.path],
                              check=True, capture_output=True, text=True).stdout
        seen = []
        for line in text.splitlines():
            one = json.loads(line)
            if one["type"] == "v":
                is_marked = one.get("clip") is not None and one["clip"] >= 0
                seen.append((one["pts_90k"],
                             (one["clip"], one["frame"]) if is_marked else None))
        return seen
