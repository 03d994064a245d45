"""``python -m tests.fuzz``: all targets in turn, for a time or a number of inputs; what breaks is kept and told.

A found case is shortened and written to ``tests/fuzz/corpus/<target>/``: from then on it is run in every test. The exit
status is 1 when something was found.
"""

import argparse
import sys
import time
import traceback
from hashlib import sha256
from pathlib import Path

from tests.fuzz.mutate import run, shrink
from tests.fuzz.targets import TARGETS, quiet

CORPUS = Path(__file__).parent / "corpus"


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("--seconds", type=float, help="for all targets together")
    asked.add_argument("--inputs", type=int, help="for all targets together, instead of a time")
    asked.add_argument("--target", action="append", choices=sorted(TARGETS), help="only these")
    asked.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run")
    given = asked.parse_args()
    names = given.target or list(TARGETS)
    seconds = None if given.inputs else (given.seconds or 60.0) / len(names)
    inputs = -(-given.inputs // len(names)) if given.inputs else None
    found = total = 0
    began = time.monotonic()
    say(f"seed {given.seed}")
    for name in names:
        since = time.monotonic()
        with quiet():
            done, case = run(TARGETS[name], given.seed, inputs, seconds)
        took = time.monotonic() - since
        total += done
        say(f"{name:15} {done:>9} inputs {done / took:>9.0f}/s {'FOUND' if case else 'nothing found'}")
        if case:
            found += 1
            say("".join(traceback.format_exception(case.error)) + f"kept as {keep(name, case.data)}")
    say(f"{total} inputs in {time.monotonic() - began:.0f} s, {found} found")
    return int(bool(found))


def keep(name: str, data: bytes) -> Path:
    short = shrink(TARGETS[name], data)
    path = CORPUS / name / sha256(short).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(short)
    return path.relative_to(CORPUS.parents[2])


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
