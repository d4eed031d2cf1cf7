#!/usr/bin/python3
"""attack.py ADDRESS SCENARIO [COUNT]: raw HTTP/2 that no good client sends.

Frames are written by hand (RFC 9113), headers without compression.  After
each attack the server must still answer, on another connection, and hold
nothing of the attacker's.
"""
import os
import random
import select
import socket
import struct
import sys
import time

ADDRESS = sys.argv[1]
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 0
PATIENCE = 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CALM = 11  # ENHANCE_YOUR_CALM


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def integer(value, bits):
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def hpack(headers):
    out = b""
    for name, value in headers:
        name, value = name.encode(), value.encode()
        out += b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value
    return out


def request(path="/retrovue.test.Echo/Echo", more=(), **changes):
    headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x",
               "content-type": "application/grpc", "te": "trailers"}
    headers.update({k.replace("__", ":").replace("_", "-"): v for k, v in changes.items()})
    return hpack(list(headers.items()) + list(more))


def message(payload, compressed=0):
    return bytes([compressed]) + struct.pack(">I", len(payload)) + payload


def varint_field(number, value):
    out = bytes([number << 3])
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


class Conn:
    def __init__(self, greet=True):
        if ADDRESS.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(ADDRESS[5:])
        else:
            host, port = ADDRESS.rsplit(":", 1)
            self.sock = socket.create_connection((host, int(port)))
        self.sock.settimeout(PATIENCE)
        self.rest = b""
        if greet:
            self.send(PREFACE + frame(SETTINGS))

    def send(self, data):
        """False when the server has hung up."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def received(self):
        """What comes next, b"" when the server has hung up."""
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""

    def acknowledged(self):
        """All that was sent has been handled."""
        self.send(frame(PING, 0, 0, b"12345678"))
        return any(kind == PING and flags & ACK for kind, flags, _, _ in self.frames())

    def frame(self):
        """(kind, flags, stream, payload), None at the end."""
        while len(self.rest) < 9 or len(self.rest) < 9 + self.length():
            data = self.received()
            if not data:
                return None
            self.rest += data
        n = 9 + self.length()
        head, self.rest = self.rest[:n], self.rest[n:]
        return head[3], head[4], struct.unpack(">I", head[5:9])[0], head[9:]

    def length(self):
        return int.from_bytes(self.rest[:3], "big")

    def frames(self):
        while True:
            one = self.frame()
            if one is None:
                return
            yield one

    def ends(self):
        """Reads to the end; the error codes of the GOAWAYs on the way."""
        return [struct.unpack(">I", f[3][4:8])[0] for f in self.frames() if f[0] == GOAWAY]

    def answer(self, stream):
        """Literal bytes of all header blocks and data of one stream."""
        head, body = b"", b""
        for kind, flags, number, payload in self.frames():
            if number != stream:
                continue
            if kind == HEADERS:
                head += payload
            elif kind == DATA:
                body += payload
            if kind == RST or flags & END_STREAM and kind in (HEADERS, DATA):
                return head, body
        return head, body


def asked():
    """The server's figures, over a connection of its own: field -> value.
    None when its memory for requests is so full that it refuses this one, or a
    crowd takes its place before it has asked."""
    conn = Conn()
    conn.send(frame(HEADERS, END_HEADERS, 1, request("/retrovue.test.Echo/Stats"))
              + frame(DATA, END_STREAM, 1, message(b"")))
    head, body = conn.answer(1)
    conn.sock.close()
    if not body:
        return None
    out, at, body = dict.fromkeys(range(1, 9), 0), 0, body[5:]
    while at < len(body):
        number, at, value, shift = body[at] >> 3, at + 1, 0, 0
        while True:
            value |= (body[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if body[at - 1] < 128:
                break
        out[number] = value
    names = ("calls_open", "connections", "inbound", "refused", "calls", "done", "held", "rss_kb")
    return dict(zip(names, (out[i] for i in range(1, 9))))


def stats():
    """The same, and waits until there is room for the question."""
    end = time.monotonic() + PATIENCE
    while (figures := asked()) is None:
        assert time.monotonic() < end, "the server has no room for a request"
        time.sleep(0.01)
    return figures


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, stats()
        time.sleep(0.01)


def nothing_left():
    until(lambda: (lambda s: s["connections"] == 1 and s["held"] == 0
                   and s["inbound"] < 1000)(stats()))


def expect_cut(conn, data_of, rounds):
    """Sends until it is hung up on, or has sent all; then that must follow."""
    for i in range(rounds):
        if not conn.send(data_of(i)):
            return
        if select.select([conn.sock], [], [], 0)[0] and not conn.received():
            return
    while conn.received():
        pass


def rapid_reset():
    before = stats()
    held = varint_field(3, 3600000)

    def burst(n):
        return b"".join(
            frame(HEADERS, END_HEADERS, s, request())
            + frame(DATA, END_STREAM, s, message(held))
            + frame(RST, 0, s, struct.pack(">I", 8))
            for s in range(n * 200 + 1, n * 200 + 201, 2))

    expect_cut(Conn(), burst, 200)
    nothing_left()
    after = stats()
    assert after["calls"] - before["calls"] < 3000, after
    assert after["refused"] > before["refused"], after
    assert after["rss_kb"] < before["rss_kb"] + 4096 or os.environ.get("RV_NO_RSS"), after


def continuation_flood():
    before = stats()
    conn = Conn()
    conn.send(frame(HEADERS, 0, 1, request()))
    field = hpack([("x" * 50, "y" * 4000)])
    expect_cut(conn, lambda _: frame(CONTINUATION, 0, 1, field * 4), 2000)
    nothing_left()
    after = stats()
    assert after["rss_kb"] < before["rss_kb"] + 4096 or os.environ.get("RV_NO_RSS"), after


def flood(data, most=300):
    conn = Conn()
    expect_cut(conn, lambda _: data * 100, most)
    nothing_left()


def floods():
    flood(frame(PING, 0, 0, b"12345678"))
    flood(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)))
    flood(frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 1)))
    conn = Conn()
    conn.send(frame(HEADERS, END_HEADERS, 1, request()))
    expect_cut(conn, lambda _: frame(DATA, 0, 1) * 100, 300)
    nothing_left()
    assert stats()["refused"] >= 4


def not_grpc():
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + bytes(300), bytes(24)):
        conn = Conn(greet=False)
        conn.send(data)
        conn.ends()
    for changes, status in (({"__method": "GET"}, b"405"), ({"content_type": "text/html"}, b"415"),
                            ({"content_type": "application/grpcx"}, b"415")):
        conn = Conn()
        conn.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, request(**changes)))
        head, _ = conn.answer(1)
        # the status stands in HPACK's literal, plain or Huffman-coded
        codes = {b"405": (b"405", b"\x68\x1b"), b"415": (b"415", b"\x68\x5b")}[status]
        assert any(code in head for code in codes), head
        conn.sock.close()
    nothing_left()


def odd_calls():
    """Bodies that are no message; each gets a status, the connection stays."""
    conn = Conn()
    stream = 1
    too_long = b"\0" + struct.pack(">I", 1 << 31)
    for body in (b"", b"\0", message(b"")[:4], message(b"") * 2, b"\x02\0\0\0\0",
                 message(b"x", 1), too_long, message(b"\x0a\xff\xff\xff\xff\x0f"),
                 message(b"\x0b" * 100)):
        conn.send(frame(HEADERS, END_HEADERS, stream, request())
                  + frame(DATA, END_STREAM, stream, body))
        head, out = conn.answer(stream)
        assert head and not out, (body, head, out)
        stream += 2
    big = [(f"x-{i}", "y" * 1000) for i in range(30)]
    block = request(more=big)
    conn.send(frame(HEADERS, 0, stream, block[:16000])
              + frame(CONTINUATION, END_HEADERS, stream, block[16000:])
              + frame(DATA, END_STREAM, stream, message(b"")))
    head, out = conn.answer(stream)
    assert head and not out
    conn.send(frame(HEADERS, END_HEADERS, stream + 2, request(grpc_timeout="1 S"))
              + frame(DATA, END_STREAM, stream + 2, message(b"")))
    head, out = conn.answer(stream + 2)
    assert head and not out
    conn.sock.close()
    nothing_left()


def slow():
    """With --first-byte-ms, --stall-ms and --idle-ms of some 100 ms."""
    silent = Conn(greet=False)
    half = Conn(greet=False)
    half.send(PREFACE[:10])
    idle = Conn()
    assert silent.ends() == [] and half.ends() == []
    assert idle.ends() == [0], "a quiet connection gets a GOAWAY without error"
    # a request that never ends, and headers that never end
    conn = Conn()
    conn.send(frame(HEADERS, END_HEADERS, 1, request()) + frame(DATA, 0, 1, message(b"")[:3]))
    head, _ = conn.answer(1)
    assert head
    conn.send(frame(HEADERS, 0, 3, request()))
    begin = stats()["calls_open"]
    assert begin >= 1
    conn.sock.close()
    # an answer that finds no window
    conn = Conn(greet=False)
    conn.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
              + frame(HEADERS, END_HEADERS, 1, request())
              + frame(DATA, END_STREAM, 1, message(b"\x0a\x01x")))
    assert any(kind == RST for kind, _, _, _ in conn.frames())
    conn.sock.close()
    # a reader that does not read, with window and socket full
    conn = Conn(greet=False)
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    conn.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x7FFFFFFF))
              + frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF - 65535)))
    echo = message(b"\x12" + b"\x90\x4e" + bytes(10000))
    for stream in range(1, 2001, 2):
        if not conn.send(frame(HEADERS, END_HEADERS, stream, request())
                         + frame(DATA, END_STREAM, stream, echo)):
            break
        if not select.select([], [conn.sock], [], 0.5)[1]:
            break
    nothing_left()


def queue():
    """A stream that asks and never reads is ended, not queued for ever."""
    before = stats()
    conn = Conn(greet=False)
    conn.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
    conn.send(frame(HEADERS, END_HEADERS, 1, request("/retrovue.test.Echo/Repeat")))
    echo = message(b"\x12" + b"\x90\x4e" + bytes(10000))
    for _ in range(2000):
        conn.send(frame(DATA, 0, 1, echo))
        if not select.select([], [conn.sock], [], 0.2)[1]:
            break
    after = stats()
    assert after["inbound"] < 1 << 20, after
    assert after["rss_kb"] < before["rss_kb"] + 8192 or os.environ.get("RV_NO_RSS"), after
    conn.sock.close()
    nothing_left()


def inbound():
    """Many half requests together stay under --inbound 1000000."""
    conns = [Conn() for _ in range(4)]
    refused = 0
    for conn in conns:
        for stream in range(1, 200, 2):
            conn.send(frame(HEADERS, END_HEADERS, stream, request())
                      + frame(DATA, 0, stream, b"\0\0\2\0\0" + bytes(600))
                      + frame(WINDOW, 0, 0, struct.pack(">I", 1000)))
    for conn in conns:
        for stream in range(1, 200, 2):
            conn.send(frame(DATA, 0, stream, bytes(8000)))
    figures, let_go, end = asked(), 1, time.monotonic() + PATIENCE
    while figures is None or figures["inbound"] <= 500000:
        assert time.monotonic() < end, figures
        if figures is None:  # full to the brim: the question itself was refused
            conns[-1].send(frame(RST, 0, let_go, struct.pack(">I", 8)))
            let_go += 2
        figures = asked()  # it may not have read all yet
    assert figures["inbound"] <= 1000000, figures
    for conn in conns:
        conn.sock.settimeout(0.5)
        try:
            refused += sum(1 for f in conn.frames() if f[0] == HEADERS)
        except socket.timeout:
            refused += 0 if refused else 1
        conn.sock.close()
    assert refused > 0
    nothing_left()


def crowd():
    """With --connections 8: quiet ones make room, busy ones do not."""
    quiet = [Conn() for _ in range(20)]
    assert stats()["connections"] <= 8
    for conn in quiet:
        conn.sock.close()
    busy = [Conn() for _ in range(8)]
    for conn in busy:
        conn.send(frame(HEADERS, END_HEADERS, 1, request())
                  + frame(DATA, END_STREAM, 1, message(varint_field(3, 3600000))))
        assert conn.acknowledged()
    # no ninth one while all are busy
    extra = Conn()
    while extra.received():
        pass
    for conn in busy:
        conn.sock.close()
    nothing_left()


def descriptors():
    """With --nofile 20: too many connections, and then it goes on."""
    conns = [Conn() for _ in range(40)]
    for conn in conns:
        conn.sock.close()
    nothing_left()
    for _ in range(3):
        conns = [Conn() for _ in range(30)]
        for conn in conns:
            conn.sock.close()
        nothing_left()


def plain_to_tls():
    """No TLS where TLS is spoken."""
    for greet in (True, False):
        conn = Conn(greet)
        conn.send(bytes(500))
        assert not [f for f in conn.frames() if f[0] == GOAWAY and len(f[3]) >= 8 and f[2] == 0]


def session():
    """What a client sends: calls of all kinds, one after the other."""
    parts = [PREFACE, frame(SETTINGS, 0, 0, struct.pack(">HIHI", 2, 0, 4, 1 << 20)),
             frame(SETTINGS, ACK), frame(WINDOW, 0, 0, struct.pack(">I", 1 << 20))]
    reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    calls = (("/retrovue.test.Echo/Echo", [b"\x0a\x05hello\x18\x01"]),
             ("/retrovue.test.Echo/Echo", [b"\x0a\x02no\x22\x05state"]),
             ("/retrovue.test.Echo/Echo", [b"\x32\x04\x32\x02\x0a\0\x3a\x03\1\2\3"]),
             ("/retrovue.test.Echo/Repeat", [b"\x0a\x01a", b"\x12\x01b", b""]),
             ("/grpc.health.v1.Health/Watch", [b"\x0a\x12retrovue.test.Echo"]),
             (reflection, [b"\x3a\0", b"\x22\x1fretrovue.playout.PlayoutControl",
                           b"\x2a\x22\x0a\x1cgoogle.protobuf.FileOptions \x10\xd0\x86\x03"]),
             ("/retrovue.test.Echo/Nope", [b""]))
    for i, (path, messages) in enumerate(calls):
        stream = 2 * i + 1
        parts.append(frame(HEADERS, END_HEADERS, stream,
                           request(path, more=[("grpc-timeout", "5S"), ("k-bin", "AAEC")])))
        parts += [frame(DATA, 0, stream, message(m)) for m in messages[:-1]]
        parts.append(frame(DATA, END_STREAM, stream, message(messages[-1])))
    parts += [frame(PING, 0, 0, b"12345678"), frame(RST, 0, 9, struct.pack(">I", 8)),
              frame(GOAWAY, 0, 0, bytes(8))]
    return parts


def recorded():
    """grpcio's own session, with its compressed headers, through a relay."""
    import threading
    import grpc
    listener = socket.create_server(("127.0.0.1", 0))
    taken = bytearray()

    def relay():
        client, _ = listener.accept()
        server = Conn(greet=False).sock
        while True:
            for sock in select.select([client, server], [], [])[0]:
                data = sock.recv(65536)
                if not data:
                    client.close()
                    server.close()
                    return
                if sock is client:
                    taken.extend(data)
                (server if sock is client else client).sendall(data)

    thread = threading.Thread(target=relay)
    thread.start()
    channel = grpc.insecure_channel("127.0.0.1:%d" % listener.getsockname()[1])
    echo = channel.unary_unary("/retrovue.test.Echo/Echo")
    for text in (b"", b"\x0a\x03abc", b"\x12\x90\x4e" + bytes(10000)):
        echo(text, timeout=PATIENCE)
        echo(text, timeout=PATIENCE, compression=grpc.Compression.Gzip)
    repeat = channel.stream_stream("/retrovue.test.Echo/Repeat")
    assert len(list(repeat(iter([b"\x0a\x01x"] * 3), timeout=PATIENCE))) == 3
    channel.close()
    thread.join()
    listener.close()
    return bytes(taken)


def mutate(rand, data):
    data = bytearray(data)
    for _ in range(rand.choice((1, 1, 2, 4, 16))):
        at = rand.randrange(len(data))
        kind = rand.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rand.randrange(8)
        elif kind == 1:
            data[at] = rand.choice((0, 1, 127, 128, 255, rand.randrange(256)))
        elif kind == 2:
            del data[at:at + rand.choice((1, 2, 9, 100))]
        elif kind == 3:
            data[at:at] = rand.randbytes(rand.choice((1, 4, 9, 50)))
        elif kind == 4:
            end = at + rand.randrange(1, 200)
            data[at:at] = data[at:end]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


def fuzz():
    seed = int(os.environ.get("RV_SEED", "1"))
    rand = random.Random(seed)
    own, real = session(), recorded()
    whole = len(PREFACE)
    for i in range(COUNT):
        if i % 3 == 0:
            data = real[:whole] + mutate(rand, real[whole:])
        elif i % 3 == 1:
            data = PREFACE + mutate(rand, b"".join(own[1:]))
        else:  # whole frames in another order, some left out, some twice
            parts = own[1:]
            rand.shuffle(parts)
            data = PREFACE + frame(SETTINGS) + b"".join(
                mutate(rand, p) if rand.random() < 0.1 else p for p in parts)
        conn = Conn(greet=False)
        if conn.send(data):
            try:
                conn.sock.shutdown(socket.SHUT_WR)
                while conn.sock.recv(65536):
                    pass
            except OSError:
                pass
        conn.sock.close()
        if i % 250 == 0:
            stats()
    nothing_left()


globals()[sys.argv[2]]()
