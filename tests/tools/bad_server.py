"""An HTTP server for media that misbehaves as a path's first part says.

usage: bad_server.py FILE

Prints its port.  Every path gives FILE:

  /ok           as it should be, with ranges
  /noranges     without
  /missing      404
  /half         says how long it is and hangs up in the middle
  /long         says that it is twice as long
  /short        says that it is half as long
  /stall        says nothing more from the middle on
  /stallonce    so the first time that the middle is asked for, then as /ok
  /late         does not answer the first request, then as /ok
  /silent       takes the connection and never answers
  /slow         a kilobyte each tenth of a second

But /count/PATH tells how often /PATH was asked for.
"""
import http.server
import sys
import threading
import time

DATA = open(sys.argv[1], "rb").read()
HALF = len(DATA) // 2
count = {}
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def hang(self):
        """Until the other side has gone."""
        self.connection.settimeout(120)
        try:
            while self.connection.recv(1024):
                pass
        except OSError:
            pass
        self.close_connection = True

    def begin(self):
        """The range asked for: first byte, or None."""
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes="):
            return None
        return int(asked[6:].split("-")[0] or 0)

    def head(self, start, total):
        if start is None:
            self.send_response(200)
        else:
            self.send_response(206)
            self.send_header("Content-Range",
                             f"bytes {start}-{total - 1}/{total}")
        if self.kind != "noranges":
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(total - (start or 0)))
        self.end_headers()

    def do_GET(self):
        self.kind = self.path.split("/")[1]
        with lock:
            nth = count[self.path] = count.get(self.path, 0) + 1
        try:
            self.answer(nth)
        except OSError:
            self.close_connection = True

    def answer(self, nth):
        kind = self.kind
        if kind == "count":
            asked = str(count.get(self.path[6:], 0)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(asked)))
            self.end_headers()
            self.wfile.write(asked)
            return
        if kind == "missing":
            self.send_error(404)
            return
        if kind == "silent" or (kind == "late" and nth == 1):
            self.hang()
            return
        start = None if kind == "noranges" else self.begin()
        at = start or 0
        total = {"long": 2 * len(DATA), "short": HALF}.get(kind, len(DATA))
        self.head(start, total)
        if kind == "slow":
            for place in range(at, len(DATA), 1024):
                self.wfile.write(DATA[place:place + 1024])
                time.sleep(0.1)
            return
        first = False
        if kind == "stallonce" and at < HALF:
            with lock:
                first = not count.get("stalled" + self.path)
                count["stalled" + self.path] = True
        ends = kind in ("half", "stall", "short") or first
        self.wfile.write(DATA[at:HALF] if ends else DATA[at:])
        self.wfile.flush()
        if kind == "stall" or first:
            self.hang()
        elif ends or kind == "long":
            self.close_connection = True


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
