#!/usr/bin/python3
"""matrix.py FOLDER [--every N] [--real MEDIA] [--list] [--keep] [NAME...]

Any media in the world: makes each file of the matrix (or those named, or each
Nth) in FOLDER, or takes those in MEDIA, plays it between two coded clips and
says 'ok NAME' or 'not ok NAME: why'.  Two at a time.  Status 1 when one is not
ok.
"""
import argparse
import os
import shutil
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "matrix"))
# pylint: disable=wrong-import-position
import cases                               # noqa: E402
from case_real import real                 # noqa: E402
from judge import Fault, judge, neighbours  # noqa: E402


def one(folder, name, make, keep):
    place = os.path.join(folder, name)
    os.makedirs(place, exist_ok=True)
    try:
        path, want, *options = make(place)
        length = judge(place, path, want, options[0] if options else {})
        return name, None, f"{length} frames"
    except Fault as fault:
        return name, str(fault), None
    except Exception:  # the test's own  pylint: disable=broad-except
        return name, traceback.format_exc(), None
    finally:
        if not keep:
            shutil.rmtree(place)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--real")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    known = real(args.real) if args.real else cases.CASES
    names = args.names or sorted(known)[::args.every]
    if args.every > 1:  # and those that once failed
        names = sorted({*names, *cases.KNOWN_FAULTS})
    if args.list:
        print(*names, sep="\n")
        return 0
    neighbours()
    bad = 0
    with ThreadPoolExecutor(2) as pool:
        for name, why, what in pool.map(lambda n: one(args.folder, n, known[n], args.keep),
                                       names):
            print(f"not ok {name}: {why}" if why else f"ok {name}: {what}", flush=True)
            bad += why is not None
    print(f"{len(names) - bad} of {len(names)} files ok")
    return 1 if bad else 0


sys.exit(main())
