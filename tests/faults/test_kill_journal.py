"""R1: kill -9 at any moment. No acknowledged record lost, doubled or renumbered; every start succeeds.

python tests/faults/test_kill_journal.py 1000     the full figure
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway.model import Lane
from gateway.wire.payloads import record_id
from tests.gateway.journal_tools import GAPS, everything, opened

PROGRAM = Path(__file__).with_name("kill_journal.py")
ROOT = PROGRAM.parents[2]


class Books:
    """What all runs together printed, by lane and number."""

    def __init__(self):
        self.tried = {lane.value: set() for lane in Lane}
        self.acknowledged = {lane.value: {} for lane in Lane}
        """Number -> id, as the callback was given it."""

    def read(self, output):
        for line in output.splitlines():
            word, *rest = line.split()
            assert word in ("READY", "TRY", "ACK"), line
            if word == "TRY":
                self.tried[rest[0]].add(int(rest[1]))
            elif word == "ACK":
                self.acknowledged[rest[0]][int(rest[1])] = rest[2]

    def next(self):
        return 1 + max(max(numbers, default=0) for numbers in self.tried.values())


def kill_once(directory, books, rng):
    """Run the program and kill it somewhere; from before its start is complete to well into its work."""
    command = [sys.executable, str(PROGRAM), str(directory), str(books.next())]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ) as program:
        lines = []
        for _ in range(rng.choice([0, 1, rng.randrange(2, 60), rng.randrange(2, 600)])):
            line = program.stdout.readline()
            if not line.endswith("\n"):
                break
            lines.append(line)
        program.send_signal(signal.SIGKILL)
        lines += program.stdout.read().splitlines(keepends=True)
        assert program.wait() == -signal.SIGKILL
    books.read("".join(line for line in lines if line.endswith("\n")))


async def check(directory, books, lane):
    """Reopen as the gateway does and compare with the books."""
    async with opened(directory / f"{lane.value}.db", lane, quota_bytes=600_000) as journal:
        assert journal.opened.durable
        assert journal.opened.set_aside is None
        assert await journal.verify() is None
        found = await everything(journal, 0, 500)
        position = journal.position("u")
        assert not journal.counters().dropped.get("corrupt")
        assert int(journal.state().get("last", b"0")) == max([0, *(_n(r) for r in found if r.kind not in GAPS)])
    gaps = [json.loads(record.body) for record in found if record.kind in GAPS]
    have = {_n(record): record for record in found if record.kind not in GAPS}
    assert len(have) == len([record for record in found if record.kind not in GAPS]), "doubled"
    assert set(have) <= books.tried[lane.value], "out of nothing"
    assert sorted(have) == [_n(record) for record in found if record.kind not in GAPS], "out of order"
    for number, name in books.acknowledged[lane.value].items():
        if number in have:
            assert record_id("demo-01", have[number]) == name, "renumbered"
            continue
        sequence = int(name.rpartition("/")[2])
        assert sequence <= position or any(gap["first"] <= sequence <= gap["last"] for gap in gaps), f"lost: {name}"


def _n(record):
    return json.loads(record.body)["n"]


def run(kills, seed, directory):
    rng = random.Random(seed)
    books = Books()
    for _ in range(kills):
        kill_once(directory, books, rng)
        for lane in Lane:
            asyncio.run(check(directory, books, lane))
    return {lane: (len(books.tried[lane]), len(books.acknowledged[lane])) for lane in books.tried}


def test_twenty_kills_lose_nothing(tmp_path):
    """A small share of R1's thousand."""
    counts = run(20, 1, tmp_path)
    assert all(acknowledged > 50 for _, acknowledged in counts.values())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        how_often = int(sys.argv[1])
        result = run(how_often, 2, Path(place))
        sys.stdout.write(f"{how_often} kills, 0 lost; tried and acknowledged by lane: {result}\n")
