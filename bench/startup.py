"""Cold start of the daemon: from exec until the control socket answers; and what `gengfu --help` costs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from bench.world import ROOT
from gateway.control import ask

RUNS = 7


def once(folder: Path) -> float:
    began = time.perf_counter()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "run", "site.yaml"], cwd=folder, env={"PYTHONPATH": str(ROOT)}
    )
    try:
        while True:
            try:
                ask(folder / "run/control.sock", {"do": "status"})
                return time.perf_counter() - began
            except OSError:
                time.sleep(0.002)
    finally:
        daemon.terminate()
        daemon.wait()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gengfu-bench-") as name:
        folder = Path(name)
        site = yaml.safe_load((ROOT / "examples/demo/site.yaml").read_text())
        site["uplinks"] = []
        (folder / "site.yaml").write_text(yaml.safe_dump(site, allow_unicode=True))
        times = [once(folder) for _ in range(RUNS)]
    print(f"cold_start_s {statistics.median(times):.3f}   (median of {RUNS}; worst {max(times):.3f}; goal 1)")


if __name__ == "__main__":
    main()
