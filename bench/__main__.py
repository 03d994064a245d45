"""``python -m bench [NAME …]``: every measurement, or those named. Prints a line a figure; docs/PERFORMANCE.md keeps them."""

from __future__ import annotations

import runpy
import sys

NAMES = {
    "throughput": "50 devices x 40 registers at 1 s over Modbus TCP: CPU and memory of the gateway",
    "latency": "an alarm register polled at 100 ms: from its change to the district",
    "startup": "cold start and imports",
    "idle": "the daemon with nothing to do: share of a core, wake-ups a second",
    "journal_bench": "the journal alone",
    "rules_bench": "the rules alone",
    "gb26875": "GB/T 26875.3 frames decoded a second",
    "year": "a simulated year of a compound: false alarms by class, accidents noticed",
    "scan": "a scan of a 9600 line, 3 of 247 answering: seconds against the least possible",
    "bus_bench": "one bus alone: CPU a poll over TCP",
    "line": "one serial line: the share of it that is used, at 9600 and 115200",
}


def main() -> int:
    names = sys.argv[1:] or list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        sys.stderr.write(
            f"no such measurement: {', '.join(unknown)}\n" + "".join(f"  {n:14} {t}\n" for n, t in NAMES.items())
        )
        return 2
    for name in names:
        sys.stdout.write(f"== {name}: {NAMES[name]}\n")
        sys.stdout.flush()
        sys.argv = [name]
        runpy.run_module(f"bench.{name}", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
