"""``python -m tests.simulation``: the whole gateway in virtual time, seed after seed; a finding prints how to see it again.

The exit status is 1 when a seed failed.
"""

import argparse
import sys
import time

from tests.simulation import script
from tests.simulation.run import simulate

HOUR_MIN = 60.0


def main():
    asked = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    asked.add_argument("--seed", type=int, help="one seed")
    asked.add_argument("--seeds", help="several: A..B")
    asked.add_argument("--minutes", type=float, default=10.0, help="simulated, each (1440 is a day)")
    asked.add_argument(
        "--without", action="append", default=[], choices=script.ALL, help="leave this kind of event out"
    )
    asked.add_argument("--trace", type=int, default=0, help="print so many of the last lines of the trace")
    asked.add_argument("--until", type=float, help="begin no seed after so many seconds")
    given = asked.parse_args()
    parts = tuple(part for part in script.ALL if part not in given.without)
    first, last = map(int, given.seeds.split("..")) if given.seeds else (given.seed or 0, given.seed or 0)
    began, simulated_min, cpu_s, failed, done = time.monotonic(), 0.0, 0.0, [], 0
    for seed in range(first, last + 1):
        if given.until and time.monotonic() - began > given.until:
            say(f"time is over before seed {seed}")
            break
        result = simulate(seed, given.minutes, parts, keep=given.trace)
        done, simulated_min, cpu_s = done + 1, simulated_min + given.minutes, cpu_s + result.cpu_s
        say(
            f"seed {seed:<6} {'FAILED' if result.findings else 'ok'}  {result.trace[:16]}  lives {result.lives:<3} "
            f"{result.counts['answers']} answers, {result.counts['transitions']} transitions, {result.counts['claims']} claims; "
            f"{given.minutes / result.cpu_s:.1f} min per CPU-s"
        )
        if given.trace:
            say("\n".join(result.tail[-given.trace :]))
        if result.findings:
            failed.append(seed)
            say("\n".join(f"    {finding}" for finding in result.findings))
            without = "".join(f" --without {part}" for part in given.without)
            say(f"    again: python -m tests.simulation --seed {seed} --minutes {given.minutes:g}{without}")
    say(
        f"{done} seeds of {given.minutes:g} min, {len(failed)} failed{': ' + ' '.join(map(str, failed)) if failed else ''}; "
        f"{simulated_min / HOUR_MIN:.1f} h simulated, {simulated_min / max(cpu_s, 1e-9):.1f} min per CPU-s"
    )
    return int(bool(failed))


def say(words):
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
