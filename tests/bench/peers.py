"""What the benches share: two commands beside each other, in CPU time."""
import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
import time

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


@contextlib.contextmanager
def work_folder():
    """A folder in memory that is gone afterwards."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    work = tempfile.mkdtemp(prefix="rv-bench.", dir=base)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def environment(programs, work):
    return dict(
        os.environ, PATH=f"{programs}:{os.environ['PATH']}",
        RETROVUE_RUN_DIR=f"{work}/run",
    )


def shell(command, env):
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        check=True, env=env, stdin=subprocess.DEVNULL,
    )


def cpu_of(command, env):
    """User + system seconds and wall seconds of a shell command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    shell(command, env)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime - before.ru_utime) + (
        after.ru_stime - before.ru_stime
    )
    return used, wall


def take_turns(commands, env, rounds=ROUNDS):
    """CPU seconds of each command, a list of the rounds."""
    used = [[] for _ in commands]
    for _ in range(rounds):
        for side, command in enumerate(commands):
            used[side].append(cpu_of(command, env)[0])
    return used


def count_frames(command, env=None):
    """Pictures in what a shell command writes."""
    text = subprocess.run(
        ["bash", "-euo", "pipefail", "-c",
         f"{command} | ffprobe -v error -select_streams v:0 -count_packets"
         " -show_entries stream=nb_read_packets -of csv=p=0 -"],
        check=True, capture_output=True, text=True, env=env,
    ).stdout
    return int(text.split()[0].strip(","))
