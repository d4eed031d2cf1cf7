#!/usr/bin/python3
"""hammer.py: what curl cannot do to rv-http.

  hammer.py many HOST:PORT PATH COUNT SECONDS FOLDER
      COUNT viewers at once, in one process; what each got goes to FOLDER/I.
  hammer.py stall HOST:PORT PATH
      a viewer that asks and then reads nothing; prints "cut" when the server
      has disconnected it.
  hammer.py sink HOST:PORT PATH COUNT SECONDS
      COUNT viewers who take everything at once; prints how many bytes.
  hammer.py inherit COMMAND...
      COMMAND with a listening socket as descriptor 3.
  hammer.py raw HOST:PORT
      sends standard input as it is, prints the answer.
  hammer.py fuzz HOST:PORT ROUNDS
      random requests, whole, cut and mixed; prints how many were answered.
"""
import os
import random
import select
import socket
import sys
import time


def connect(where):
    host, port = where.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def ask(where, path):
    s = connect(where)
    s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    return s


def many(where, path, count, seconds, folder):
    viewers = {}
    poll = select.epoll()
    for i in range(int(count)):
        s = ask(where, path)
        s.setblocking(False)
        viewers[s.fileno()] = (s, open(f"{folder}/{i}", "wb"))
        poll.register(s.fileno(), select.EPOLLIN)
    end = time.monotonic() + float(seconds)
    closed = 0
    while time.monotonic() < end:
        for fd, _ in poll.poll(0.1):
            s, out = viewers[fd]
            try:
                data = s.recv(1 << 20)
            except BlockingIOError:
                continue
            if not data:
                poll.unregister(fd)
                closed += 1
            out.write(data)
    for s, out in viewers.values():
        out.close()
        s.close()
    print(closed)


def stall(where, path):
    s = connect(where)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall(b"GET %s HTTP/1.1\r\n\r\n" % path.encode())
    poll = select.poll()
    poll.register(s.fileno(), select.POLLRDHUP | select.POLLHUP)
    print("stalled", flush=True)
    print("cut" if poll.poll(30000) else "kept", flush=True)


def raw(where):
    s = connect(where)
    s.settimeout(20)
    try:
        s.sendall(sys.stdin.buffer.read())
    except OSError:
        pass
    answer = b""
    try:
        while True:
            data = s.recv(65536)
            if not data:
                break
            answer += data
    except OSError:
        pass
    sys.stdout.buffer.write(answer)


def fuzz(where, rounds):
    random.seed(7)
    pieces = [b"GET ", b"HEAD ", b"POST ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
              b"/channel/1.ts", b"/channel/", b"../../etc/passwd", b"//", b"%00",
              b" HTTP/1.1\r\n", b" HTTP/1.0\n", b" HTTP/9.9\r\n", b"\r\n",
              b"Host: x\r\n", b"Content-Length: 99999999999999999999\r\n",
              b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\n",
              b"X: " + b"y" * 3000 + b"\r\n", b"\x00\xff\x16\x03\x01",
              b"CONNECT a:1 ", b"http://[::1", b"?" * 300]
    answered = 0
    for _ in range(int(rounds)):
        data = b"".join(random.choice(pieces)
                        for _ in range(random.randint(1, 12)))
        if random.random() < 0.3:
            data = bytes(random.randrange(256) for _ in range(len(data) % 500))
        s = connect(where)
        s.settimeout(0.05)
        try:
            s.sendall(data)
            if random.random() < 0.5:
                s.shutdown(socket.SHUT_WR)
            if s.recv(100):
                answered += 1
        except OSError:
            pass
        s.close()
    print(answered)


def sink(where, path, count, seconds):
    """COUNT viewers whose bytes the kernel throws away; prints the total."""
    poll = select.epoll()
    viewers = {}
    for _ in range(int(count)):
        s = ask(where, path)
        s.setblocking(False)
        viewers[s.fileno()] = s
        poll.register(s.fileno(), select.EPOLLIN)
    print("connected", flush=True)
    total = 0
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for fd, _ in poll.poll(0.1):
            try:
                total += viewers[fd].recv_into(DISCARD, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                continue
    print(total)


def inherit(*command):
    """Runs COMMAND with a listening socket as descriptor 3."""
    s = socket.create_server(("127.0.0.1", 0))
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
    os.execvp(command[0], command)


DISCARD = bytearray(1 << 20)
globals()[sys.argv[1]](*sys.argv[2:])
