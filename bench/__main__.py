"""``python -m bench [NAME …] [OPTIONS]``: every measurement, or those named. Prints a line a figure; docs/PERFORMANCE.md keeps them.

Options go to what is named: ``python -m bench throughput --seconds 30``. What installs other software runs only when named.
"""

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
    "shared": "10 and 31 units behind one TCP port, one of them silent: the period of the others",
    "line": "one serial line: the share of it that is used, at 9600 and 115200",
    "peers": "the same beside thingsboard-gateway, modpoll and Node-RED (only when named: installs them, minutes)",
}
ONLY_NAMED = ("peers",)


def main() -> int:
    begin = next((place for place, word in enumerate(sys.argv) if word.startswith("-")), len(sys.argv))
    options = sys.argv[begin:]
    names = sys.argv[1:begin] or [name for name in NAMES if name not in ONLY_NAMED]
    if unknown := [name for name in names if name not in NAMES]:
        sys.stderr.write(
            f"no such measurement: {', '.join(unknown)}\n" + "".join(f"  {n:14} {t}\n" for n, t in NAMES.items())
        )
        return 2
    for name in names:
        sys.stdout.write(f"== {name}: {NAMES[name]}\n")
        sys.stdout.flush()
        sys.argv = [name, *options]
        runpy.run_module(f"bench.{name}", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
