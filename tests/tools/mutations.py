"""Plays damaged files between good ones and says whether these stay exact.

usage: mutations.py [options] --good FILE... --bad FILE...

Each bad file is mutated COUNT times: bits flipped, cut off, the head of another
file put on it, blocks swapped, doubled, taken out, ranges of noise, fields of
numbers at their limits.  The mutations of a seed are the same everywhere.  They
are played in chains of CHUNK of them, in one rv-decode, each in front of a good
file; every frame goes through pool, stage and ring to rv-ringread --hash.

  * the good files' frames are what they are without damaged ones about them,
    picture and sound, at their place;
  * no frame for --hang seconds is a hang, that chain is ended;
  * a death is a crash; it is found out which file alone does it;
  * the decoder's memory is limited (--as-mib), and its largest RSS is told.

Prints one JSON object; status 1 when anything was wrong.
"""
import argparse
import ctypes
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import time

BAD_FRAMES = 20
HOUSE = {
    "video": {"width": 160, "height": 90, "frame_rate": "25"},
    "audio": {"sample_rate": 48000, "channels": 2},
}
LIMITS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF,
          0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


# --- damage -------------------------------------------------------------------

def flip(r, data, heads):
    for _ in range(r.choice((1, 3, 20, 200))):
        data[r.randrange(len(data))] ^= 1 << r.randrange(8)


def flip_ends(r, data, heads):
    """Where headers and indexes are."""
    size = min(len(data), 2048)
    base = r.choice((0, len(data) - size))
    for _ in range(r.choice((1, 3, 10))):
        data[base + r.randrange(size)] ^= 1 << r.randrange(8)


def truncate(r, data, heads):
    del data[r.randrange(1, len(data)):]


def splice(r, data, heads):
    head = r.choice(heads)
    size = r.randrange(16, 4096)
    data[:size] = head[:size]


def block(r, data):
    size = r.randrange(1, max(2, len(data) // 4))
    return r.randrange(len(data) - size + 1), size


def swap(r, data, heads):
    a, size = block(r, data)
    b = r.randrange(len(data) - size + 1)
    one, other = data[a:a + size], data[b:b + size]
    data[a:a + size], data[b:b + size] = other, one


def double(r, data, heads):
    a, size = block(r, data)
    b = r.randrange(len(data))
    data[b:b] = data[a:a + size]


def take_out(r, data, heads):
    a, size = block(r, data)
    del data[a:a + size]


def noise(r, data, heads):
    a, size = block(r, data)
    data[a:a + size] = r.randbytes(size)


def wipe(r, data, heads):
    a, size = block(r, data)
    data[a:a + size] = bytes((r.choice((0, 255)),)) * size


def number(r, data, heads):
    for _ in range(r.choice((1, 2, 6))):
        size = r.choice((1, 2, 4, 8))
        value = r.choice(LIMITS) & ((1 << 8 * size) - 1)
        at = r.randrange(r.choice((min(len(data), 1024), len(data))))
        data[at:at + size] = value.to_bytes(size, r.choice(("big", "little")))


KINDS = (flip, flip, flip_ends, flip_ends, truncate, splice, swap, double,
         take_out, noise, wipe, number, number)


def mutate(seed, path, index, heads):
    r = random.Random(f"{seed}/{os.path.basename(path)}/{index}")
    with open(path, "rb") as file:
        data = bytearray(file.read())
    done = []
    for _ in range(r.choice((1, 1, 1, 2, 4))):
        kind = r.choice(KINDS)
        kind(r, data, heads)
        done.append(kind.__name__)
        if not data:
            data = bytearray(1)
    return data, "+".join(done)


# --- a chain ------------------------------------------------------------------

class Chain:
    """rv-plan | rv-decode | rv-stage and a reader of its ring."""

    def __init__(self, options, segments):
        self.folder = os.path.join(options.folder, "run")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        plan = os.path.join(options.folder, "plan.json")
        with open(plan, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "house": HOUSE, "segments": segments},
                      file)
        ring = os.path.join(self.folder, "r", "ring")
        tool = lambda name: os.path.join(options.bin, name)
        run = ["--run-dir", self.folder]
        self.errors = open(os.path.join(options.folder, "errors"), "wb")

        def limit():
            # nobody is left behind, whoever ends this script
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            if options.as_mib:
                size = options.as_mib << 20
                resource.setrlimit(resource.RLIMIT_AS, (size, size))

        common = {"stderr": self.errors}
        plan = subprocess.Popen([tool("rv-plan"), "resolve", plan],
                                stdout=subprocess.PIPE, **common)
        self.decode = subprocess.Popen(
            options.wrap.split() + [tool("rv-decode")] + run, preexec_fn=limit,
            stdin=plan.stdout, stdout=subprocess.PIPE, **common)
        stage = subprocess.Popen(
            [tool("rv-stage"), "--ring", ring] + run, stdin=self.decode.stdout,
            stdout=subprocess.DEVNULL, **common)
        plan.stdout.close()
        self.decode.stdout.close()
        self.reader = subprocess.Popen(
            [os.path.join(options.tools, "rv-ringread"), "--hash", "--ring",
             ring], stdout=subprocess.PIPE, **common)
        self.others = [plan, stage, self.reader]

    def lines(self, patience):
        """Each line of the reader; None when nothing came for so long."""
        fd = self.reader.stdout.fileno()
        rest = b""
        while True:
            if not select.select([fd], [], [], patience)[0]:
                yield None
                return
            got = os.read(fd, 1 << 16)
            if not got:
                return
            *whole, rest = (rest + got).split(b"\n")
            for line in whole:
                yield line.decode().split()

    def end(self, is_hung):
        """(status of rv-decode, its largest RSS in MiB)"""
        if is_hung:
            self.decode.kill()
        _, status, usage = os.wait4(self.decode.pid, 0)
        self.decode.returncode = os.waitstatus_to_exitcode(status)
        for process in self.others:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.reader.stdout.close()
        self.errors.close()
        return self.decode.returncode, usage.ru_maxrss / 1024


def play(options, segments):
    """(segment, frame and hashes by frame number, is hung, status, RSS)"""
    chain = Chain(options, segments)
    seen, is_hung = {}, False
    for line in chain.lines(options.hang):
        if line is None:
            is_hung = True
            break
        n, name, frame = int(line[1]), line[2], int(line[3])
        seen[n] = (name, frame, line[5], line[6])
    status, rss = chain.end(is_hung)
    return seen, is_hung, status, rss


# --- the whole ----------------------------------------------------------------

class Run:
    def __init__(self, options):
        self.options = options
        self.good = {}
        self.result = {"seed": options.seed, "mutations": 0, "with_picture": 0,
                       "neighbours": 0, "max_rss_mib": 0, "slowest_s": 0.0,
                       "wrong": [], "hung": [], "crashed": [], "killed": 0}
        self.heads = [open(bad, "rb").read(4096) for bad in options.bad]

    def learn_good(self):
        """What the good files are on their own."""
        for path in self.options.good:
            seen, _, status, _ = play(
                self.options, [{"id": "g", "asset": path}])
            if status != 0 or len(seen) < 2:
                sys.exit(f"{path}: does not play by itself")
            self.good[path] = [seen[n][2:] for n in sorted(seen)]

    def damaged(self, path, index):
        data, what = mutate(self.options.seed, path, index, self.heads)
        stem, ext = os.path.splitext(os.path.basename(path))
        name = f"{stem.split('-')[0]}{ext}-{index}"
        out = os.path.join(self.options.folder, f"{name}{ext}")
        with open(out, "wb") as file:
            file.write(data)
        segment = {"id": name, "asset": out, "duration": f"{BAD_FRAMES}f"}
        if index % 3 == 2:
            segment["in"] = "10f"
        return {"name": name, "path": out, "what": what, "segment": segment}

    def play_part(self, part):
        """Plays these; gives those that were not come to."""
        segments, places, n = [], [], 0
        for i, bad in enumerate(part):
            good = self.options.good[i % len(self.options.good)]
            segments += [bad["segment"], {"id": f"good{i}", "asset": good}]
            places.append((n, n + BAD_FRAMES, good))
            n += BAD_FRAMES + len(self.good[good])
        begin = time.monotonic()
        seen, is_hung, status, rss = play(self.options, segments)
        took = time.monotonic() - begin
        r = self.result
        r["max_rss_mib"] = max(r["max_rss_mib"], round(rss))
        r["slowest_s"] = max(r["slowest_s"], round(took / len(part), 2))
        # 3 and 4 are of a first failure (no memory for what a header asks)
        is_dead = is_hung or not 0 <= status <= 4 or len(seen) < n
        done = len(part)
        if is_dead:
            last = max(seen, default=-1)
            done = sum(1 for _, first, good in places
                       if first + len(self.good[good]) <= last + 1)
        for (start, first, good), bad in list(zip(places, part))[:done]:
            self.judge(seen, start, first, good, bad)
        if not is_dead:
            return []
        # The one that was on, or the next, which is opened ahead.
        suspects = part[done:done + 2] if len(part) > 1 else part
        if len(part) == 1:
            kind = "hung" if is_hung else "crashed"
            r[kind].append([part[0]["name"], part[0]["what"], status])
            self.keep(part[0])
            return []
        r["killed"] += 1
        for suspect in suspects:
            self.play_part([suspect])
        return part[done + len(suspects):]

    def judge(self, seen, start, first, good, bad):
        r = self.result
        r["mutations"] += 1
        name = bad["name"]
        if any(seen.get(n, ("-",))[0] == name for n in range(start, first)):
            r["with_picture"] += 1
        for k, wanted in enumerate(self.good[good]):
            got = seen.get(first + k)
            if got is None or got[1] != k or got[2:] != wanted:
                r["wrong"].append([name, bad["what"], k])
                self.keep(bad)
                return
        r["neighbours"] += 1

    def keep(self, bad):
        if self.options.keep:
            shutil.copy(bad["path"], self.options.keep)

    def run(self):
        self.learn_good()
        for path in self.options.bad:
            for begin in range(0, self.options.count, self.options.chunk):
                end = min(begin + self.options.chunk, self.options.count)
                part = [self.damaged(path, i) for i in range(begin, end)]
                left = part
                while left:
                    left = self.play_part(left)
                for bad in part:
                    os.unlink(bad["path"])
            if self.options.is_chatty:
                print(path, json.dumps(self.result), file=sys.stderr)
        return self.result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--chunk", type=int, default=25)
    parser.add_argument("--hang", type=float, default=5.0)
    parser.add_argument("--as-mib", type=int, default=0)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--tools", required=True)
    parser.add_argument("--wrap", default="")
    parser.add_argument("--keep", help="folder for what was found")
    parser.add_argument("--only", type=int, help="write this mutation of each")
    parser.add_argument("--chatty", dest="is_chatty", action="store_true")
    parser.add_argument("--good", nargs="+", required=True)
    parser.add_argument("--bad", nargs="+", required=True)
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    run = Run(options)
    if options.only is not None:
        for path in options.bad:
            print(run.damaged(path, options.only)["path"])
        return 0
    result = run.run()
    print(json.dumps(result))
    return 1 if result["wrong"] or result["hung"] or result["crashed"] else 0


sys.exit(main())
