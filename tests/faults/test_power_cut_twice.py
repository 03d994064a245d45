"""R5: the power is cut again while the gateway recovers from a cut, and while a new file takes over from a damaged one.

Pruning is part of the work that R2 cuts; there is no migration yet (one version of the file so far).

    python tests/faults/test_power_cut_twice.py 400     the full figure
"""

import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

import apsw
import pytest

from gateway.model import Lane
from gateway.store import open as journal_open
from tests.faults.test_power_cut import QUOTA_BYTES, Platter, Recorder, check, record
from tests.gateway.journal_tools import StillClock, draft, everything, make

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


async def open_and_close(path, lane):
    journal = make(path, lane, StillClock(), threaded=False, quota_bytes=QUOTA_BYTES)
    await journal.open()
    await journal.close()


class Aside:
    """Writes down, among the storage calls, when files are renamed: their folder is synced before the next call."""

    def __init__(self, log):
        self.log, self.original = log, journal_open.set_aside

    def __enter__(self):
        journal_open.set_aside = self.rename

    def __exit__(self, *_):
        journal_open.set_aside = self.original

    def rename(self, path, tag):
        before = [one.name for one in path.parent.glob(f"{path.name}*") if ".broken-" not in one.name]
        target = self.original(path, tag)
        for name in before:
            self.log.append(("renamed", name, target.name + name.removeprefix(path.name)))
        return target


def cut_while_opening(place, lane, rng):
    """Open what is in `place`, cut the power at any storage call of it, and leave in `place` what a cut may leave."""
    platter = Platter()
    for file in place.iterdir():
        platter.files[file.name] = [("certain", ("write", 0, file.read_bytes()))]
    recorder = Recorder(rng)
    aside = Aside(recorder.log)
    work = place.with_name(f"{place.name}-work")
    shutil.copytree(place, work)
    try:
        with aside:
            asyncio.run(open_and_close(work / "j.db", lane))
    finally:
        recorder.unregister()
    for entry in recorder.log[: rng.randrange(len(recorder.log) + 1)]:
        if entry[0] == "renamed":
            platter.files[entry[2]] = platter.files.pop(entry[1])
        else:
            platter.apply(entry)
    shutil.rmtree(work)
    shutil.rmtree(place)
    place.mkdir()
    for name, content in platter.cut(rng).items():
        (place / name).write_bytes(content)
    return len(recorder.log)


def recoveries(states, seed, place, lane):
    """A cut at work, one or two more while it recovers, and then everything that was acknowledged is there."""
    rng = random.Random(seed)
    (place / "first").mkdir()
    log = record(place / "first", lane, seed)
    cuts = sorted(rng.choices([index for index, entry in enumerate(log) if entry[0] not in ("ack", "try")], k=states))
    platter, acknowledged, least, most, done = Platter(), {}, 0, 0, 0
    for number, cut in enumerate(cuts):
        for entry in log[done:cut]:
            if entry[0] == "ack":
                acknowledged.update(entry[1])
                least = max(least, entry[2])
            elif entry[0] == "try":
                most += entry[1]
            else:
                platter.apply(entry)
        done = cut
        there = place / str(number)
        there.mkdir()
        for name, content in platter.cut(rng).items():
            (there / name).write_bytes(content)
        for _ in range(rng.choice([1, 2])):
            cut_while_opening(there, lane, rng)
        asyncio.run(check(there, lane, acknowledged, least, most))
        shutil.rmtree(there)


async def filled(path):
    journal = make(path, Lane.ALARM, StillClock(), threaded=False)
    await journal.open()
    journal.position("u")
    for number in range(60):
        journal.commit([draft(b"%d" % number * 200)], {f"s{number % 7}": b"%d" % number})
        for _ in range(20):
            await asyncio.sleep(0)
    journal.settle("u", range(1, 20))
    records, state = await everything(journal), journal.state()
    await journal.close()
    return records, state


async def unsettled(path):
    journal = make(path, Lane.ALARM, StillClock(), threaded=False)
    opened = await journal.open()
    assert opened.durable
    assert await journal.verify() is None
    found, state = await journal.unsettled("u"), journal.state()
    await journal.close()
    return found, state


def takeovers(states, seed, place):
    """A file that no longer says whose journal it is, and cuts while the new one takes over: every alarm is there."""
    rng = random.Random(seed)
    (place / "whole").mkdir()
    records, state = asyncio.run(filled(place / "whole" / "j.db"))
    db = apsw.Connection(str(place / "whole" / "j.db"))
    db.execute("UPDATE item SET crc = crc + 1 WHERE space = 'own' AND key = 'segments'")
    db.close()
    for number in range(states):
        there = place / str(number)
        shutil.copytree(place / "whole", there)
        calls = 0
        for _ in range(rng.choice([1, 2])):
            calls += cut_while_opening(there, Lane.ALARM, rng)
        assert calls > 5, "nothing was written"
        assert asyncio.run(unsettled(there / "j.db")) == (records[19:], state)
        shutil.rmtree(there)


def test_a_cut_while_it_recovers_loses_nothing(tmp_path):
    """A small share of R5's four hundred, both lanes."""
    for lane in Lane:
        (tmp_path / lane.value).mkdir()
        recoveries(8, 1, tmp_path / lane.value, lane)


def test_a_cut_while_a_new_file_takes_over_loses_no_alarm(tmp_path):
    """Neither file is ever the only one that has half of it."""
    takeovers(10, 1, tmp_path)


if __name__ == "__main__":
    total = int(sys.argv[1])
    for round_number in range(max(1, total // 100)):
        for chosen in Lane:
            with tempfile.TemporaryDirectory() as where:
                recoveries(25, 100 + round_number, Path(where), chosen)
        with tempfile.TemporaryDirectory() as where:
            takeovers(50, 100 + round_number, Path(where))
        sys.stderr.write(f"{(round_number + 1) * 100} of {total}\n")
    sys.stdout.write(f"{total} second cuts (half while recovering, half while taking over): 0 lost, 0 unopenable\n")
