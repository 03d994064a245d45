"""R9 and R28: what a full buffer drops is told exactly, record by record; and telemetry costs at most one sync a second.

GENGFU_FAULTS=full .venv/bin/pytest -s tests/faults/test_thinning.py      the full figures
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from gateway.model import Lane
from tests.gateway.journal_tools import GAPS, StillClock, draft, everything, faulty_disk, make, opened
from tests.waiting import until

FULL = os.environ.get("GENGFU_FAULTS") == "full"
RECORDS = 40_000 if FULL else 1_500
QUOTA_BYTES = 8 * 2**20 if FULL else 400 * 1024
SECONDS = 3_600 if FULL else 30
PACK_BYTES = int(os.environ.get("GENGFU_PACK_BYTES", "2048"))
"""Of a second's telemetry."""
SYNCS_GOAL, TOLERANCE = 1.0, 1.03
"""Counted, not timed: the same on a busy machine. What is over are the checkpoints."""


def note(text):
    sys.stderr.write(f"\n{text}\n")


async def test_every_record_that_gave_way_is_told_once(tmp_path):
    """An outage that fills the lane several times over: what is there and what the gap records name make up everything that
    was committed, nothing twice; the counter is their sum; the newest is there; a restart changes nothing."""
    path = tmp_path / "j.db"
    committed = 0
    async with opened(path, Lane.TELEMETRY, quota_bytes=QUOTA_BYTES) as journal:
        journal.position("u")
        while committed < RECORDS:
            journal.commit([draft(b"%06d" % number * 150) for number in range(committed, committed + 10)], {})
            committed += 10
            await until(lambda: journal.counters().waiting < 4, 30)
        await until(lambda: journal.counters().used_bytes <= QUOTA_BYTES and not journal._room.making, 60)
        await until(lambda: not journal.counters().waiting, 30)
        counted = journal.counters().dropped["quota"]
        found = await everything(journal, page=500)
        last = journal.counters().last
        gone = journal._owed._gone.pairs()
    gaps = [json.loads(record.body) for record in found if record.kind in GAPS]
    there = {record.sequence for record in found}
    missing = set(range(1, last + 1)) - there
    assert sum(gap["dropped"] for gap in gaps) == counted == len(missing)
    assert missing == {number for first, end in gone for number in range(first, end + 1)}
    for number in missing:
        assert any(gap["first"] <= number <= gap["last"] for gap in gaps), f"{number} went without a word"
    bodies = [int(record.body[:6]) for record in found if record.kind not in GAPS]
    assert bodies == sorted(set(bodies))
    assert bodies[-1] == committed - 1
    assert len(bodies) + counted == committed
    async with opened(path, Lane.TELEMETRY, quota_bytes=QUOTA_BYTES) as journal:
        again = await everything(journal, page=500)
        assert [record.sequence for record in again] == [record.sequence for record in found]
    note(
        f"{committed} records into {QUOTA_BYTES // 1024} KiB: {len(bodies)} kept, {counted} dropped in {len(gaps)} gap records"
    )


def written_bytes():
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


async def test_telemetry_costs_at_most_one_sync_a_second(tmp_path):
    """One commit a second, as the pipeline does, and receipts at any time between: one sync each, and three more where the log is
    taken into the database (of the log, of the database, of the log that is begun anew)."""
    dice = random.Random(1)
    with faulty_disk() as disk:
        clock = StillClock()
        journal = make(tmp_path / "j.db", Lane.TELEMETRY, clock, threaded=False)
        await journal.open()
        journal.position("u")
        journal.commit([draft()], {})  # a new log: one sync more, once
        await turns()
        before, syncs, body = written_bytes(), disk.syncs, 0
        for _ in range(SECONDS):
            pack = os.urandom(PACK_BYTES)
            body += len(pack)
            journal.commit([draft(pack)], {})
            await turns()
            receipt_s = dice.uniform(0.0, 1.0)
            clock.advance(receipt_s)
            journal.settle_to("u", journal.counters().durable)
            clock.advance(1.0 - receipt_s)
            await turns()
        per_second = (disk.syncs - syncs) / SECONDS
        note(
            f"{SECONDS} commits of {PACK_BYTES} bytes, one a second: {per_second:.3f} syncs/s, "
            f"{(written_bytes() - before) / body:.1f} bytes written for each of a body"
        )
        await journal.close()
        assert per_second <= SYNCS_GOAL * TOLERANCE


async def turns():
    for _ in range(30):
        await asyncio.sleep(0)
