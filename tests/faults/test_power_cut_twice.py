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


class Renames:
    """Writes down, among the storage calls, when files are renamed, one by one: a cut may fall between two of them. Their
    folder is synced before the next call."""

    def __init__(self, log):
        self.log, self.original = log, journal_open.move

    def __enter__(self):
        journal_open.move = self.move

    def __exit__(self, *_):
        journal_open.move = self.original

    def move(self, path, target, suffixes):
        before = [one for one in suffixes if path.with_name(path.name + one).exists()]
        self.original(path, target, suffixes)
        for one in before:
            self.log.append(("renamed", path.name + one, target.name + one))


def cut_while_opening(place, lane, rng, share=0.0):
    """Open what is in `place`, cut the power at any storage call of it, and leave in `place` what a cut may leave; a `share` of
    the syncs fails."""
    platter = Platter()
    for file in place.iterdir():
        platter.files[file.name] = [("certain", ("write", 0, file.read_bytes()))]
    recorder = Recorder(rng)
    recorder.share = share
    work = place.with_name(f"{place.name}-work")
    shutil.copytree(place, work)
    try:
        with Renames(recorder.log):
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


async def filled(path, crashed):
    """What it wrote; `crashed`: where the files are as they were when it was killed."""
    clock = StillClock()
    journal = make(path, Lane.ALARM, clock, threaded=False)
    await journal.open()
    journal.position("u")
    for number in range(60):
        journal.commit([draft(b"%d" % number * 200)], {f"s{number % 7}": b"%d" % number})
        await turns()
    journal.settle("u", range(1, 20))
    clock.advance(10)
    await turns()
    records, state = await everything(journal), journal.state()
    for file in path.parent.iterdir():
        shutil.copy(file, crashed)
    await journal.close()
    return records, state


async def turns():
    for _ in range(20):
        await asyncio.sleep(0)


def forget_whose(path, *, in_log):
    """Damage: the file no longer says whose journal it is; `in_log`: its log stays as it is."""
    db = apsw.Connection(str(path))
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(in_log))
    db.execute("UPDATE item SET crc = crc + 1 WHERE space = 'own' AND key = 'segments'")
    db.close()


async def unsettled(path):
    journal = make(path, Lane.ALARM, StillClock(), threaded=False)
    opened = await journal.open()
    assert opened.durable
    assert await journal.verify() is None
    found, state = await journal.unsettled("u"), journal.state()
    await journal.close()
    return found, state


def takeovers(states, seed, place):
    """A file that no longer says whose journal it is, and cuts while the new one takes over: every alarm is there.

    Half of them with a log that has not all been taken into the file, and with syncs that fail, so that it never is: a cut
    may fall between the renames of the two.
    """
    rng = random.Random(seed)
    (place / "whole").mkdir()
    (place / "crashed").mkdir()
    records, state = asyncio.run(filled(place / "whole" / "j.db", place / "crashed"))
    forget_whose(place / "whole" / "j.db", in_log=False)
    forget_whose(place / "crashed" / "j.db", in_log=True)
    for number in range(states):
        there = place / str(number)
        log = number % 2
        shutil.copytree(place / ("crashed" if log else "whole"), there)
        calls = 0
        for _ in range(rng.choice([1, 2])):
            calls += cut_while_opening(there, Lane.ALARM, rng, rng.choice([0.0, 0.5, 1.0]) * log)
        assert calls > 5, "nothing was written"
        assert asyncio.run(unsettled(there / "j.db")) == (records[19:], state), number
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
