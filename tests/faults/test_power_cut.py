"""R2: the power is cut at any storage call. What was acknowledged is there; the file opens; nothing comes out of nothing.

Every write, sync, truncation and deletion of SQLite is written down; a few syncs fail. A state that a cut could leave is: all that was synced,
and of what was written since then any part, in sectors of 512 bytes.

    python tests/faults/test_power_cut.py 10000     the full figure
"""

import asyncio
import json
import random
import secrets
import sys
import tempfile
from pathlib import Path

import apsw
import pytest

from gateway.model import Lane
from gateway.wire.payloads import record_id
from tests.gateway.journal_tools import GAPS, StillClock, draft, everything, make

# SQLite swallows the injected failure of a sync while it closes; apsw then has nobody to raise it to.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SECTOR = 512
QUOTA_BYTES = 200_000


class Recorder(apsw.VFS):
    """The unix VFS that writes down what changes the disk: (what, file, ...)."""

    def __init__(self, rng):
        self.rng = rng
        self.share = 0.0
        """How many syncs fail: the bytes may be out, nothing is certain, and nobody syncs them again by himself."""
        self.name = f"recording-{secrets.token_hex(4)}"
        self.log = []
        super().__init__(self.name, "unix", makedefault=True)

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def xDelete(self, name, sync):
        self.log.append(("delete", Path(name).name))
        super().xDelete(name, sync)


class _File(apsw.VFSFile):
    def __init__(self, recorder, name, flags):
        self._recorder = recorder
        self._log = recorder.log
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):
        self._log.append(("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xSync(self, flags):
        if self._recorder.rng.random() < self._recorder.share:
            self._log.append(("unsynced", self._name))
            raise apsw.IOError("injected: sync")
        super().xSync(flags)
        self._log.append(("sync", self._name))

    def xTruncate(self, size):
        self._log.append(("truncate", self._name, size))
        super().xTruncate(size)


class Worker:
    """Commits, settlements, pruning and restarts; acknowledgements and state are noted in the log."""

    def __init__(self, place, lane, recorder, rng):
        self.path = place / "j.db"
        self.lane = lane
        self.recorder = recorder
        self.log = recorder.log
        self.rng = rng
        self.clock = StillClock()
        self.number = 0
        self.announced = []

    async def run(self):
        for _ in range(4):
            journal = make(self.path, self.lane, self.clock, threaded=False, quota_bytes=QUOTA_BYTES)
            assert (await journal.open()).durable
            journal.position("u")
            journal._file._checkpoint_pages = 40
            for _ in range(40):
                self.recorder.share = self.rng.choice([0.0, 0.0, 0.05, 0.7])
                await self.commit(journal)
                if self.rng.random() < 0.1:
                    journal.settle_to("u", journal.counters().durable - 5)
            self.recorder.share = 0.0
            await self.wait(journal)
            await journal.close()

    async def commit(self, journal):
        count = self.rng.choice([0, 1, 1, 1, 3])
        body = b'{"alarm":"a%d","n":%d,"x":"%s"}'
        some = [body % (self.rng.randrange(3), self.number + n, b"x" * self.rng.randrange(3000)) for n in range(count)]
        self.number += count
        self.log.append(("try", count))
        drafts = [draft(one, "gengfu.alarm.transition") for one in some]
        number = self.number
        journal.commit(drafts, {"n": b"%d" % number}, lambda records, error: self.told(records, error, number))
        await self.turns()
        if self.announced and self.rng.random() < 0.5:
            await self.wait(journal)

    async def wait(self, journal):
        """For the disk to take what was announced; then that is as good as acknowledged."""
        for _ in range(3):
            self.clock.advance(2.5)
            await self.turns()
        if not journal.counters().waiting:
            for records, number in self.announced:
                self.log.append(("ack", records, number))
            self.announced = []

    def told(self, records, error, number):
        names = [(record_id("demo-01", one), one.crc) for one in records]
        if error:
            self.announced.append((names, number))
        else:
            self.log.append(("ack", names, number))

    async def turns(self):
        for _ in range(30):
            await asyncio.sleep(0)


def record(place, lane, seed):
    rng = random.Random(seed)
    recorder = Recorder(rng)
    try:
        asyncio.run(Worker(place, lane, recorder, rng).run())
    finally:
        recorder.unregister()
    return recorder.log


class Platter:
    """What was written, file by file, and how certain it is.

    After a failed sync what it was to write is doubtful for ever: Linux drops it from what the next sync writes.
    """

    def __init__(self):
        self.files = {}

    def apply(self, entry):
        what, name, *rest = entry
        changes = self.files.setdefault(name, [])
        if what in ("sync", "unsynced"):
            fate = "certain" if what == "sync" else "doubtful"
            self.files[name] = [(fate if state == "open" else state, change) for state, change in changes]
        elif what == "delete":
            del self.files[name]
        else:
            changes.append(("open", (what, *rest)))

    def cut(self, rng):
        """The files after a cut: of what is not certain any part, in sectors."""
        share = rng.choice([0.0, 0.5, 0.9, 1.0])
        files = {}
        for name, changes in self.files.items():
            content = files.setdefault(name, bytearray())
            for state, change in changes:
                for part in [change] if state == "certain" else _sectors(change):
                    if state == "certain" or rng.random() < share:
                        _apply(content, part)
        return files


def _apply(content, change):
    if change[0] == "truncate":
        del content[change[1] :]
        return
    _, offset, data = change
    if len(content) < offset + len(data):
        content.extend(bytes(offset + len(data) - len(content)))
    content[offset : offset + len(data)] = data


def _sectors(change):
    if change[0] == "truncate":
        return [change]
    _, offset, data = change
    return [("write", offset + start, data[start : start + SECTOR]) for start in range(0, len(data), SECTOR)]


async def check(place, lane, acknowledged, least, most):
    """Open what the cut left; `least`, `most`: the state of the last acknowledged and of the last tried commit."""
    journal = make(place / "j.db", lane, StillClock(), threaded=False, quota_bytes=QUOTA_BYTES)
    opened = await journal.open()
    assert opened.durable, opened
    assert opened.set_aside is None
    assert opened.damaged_items == 0
    found = await everything(journal)
    assert await journal.verify() is None
    assert not journal.counters().dropped.get("corrupt")
    assert least <= int(journal.state().get("n", b"0")) <= most
    gaps = [json.loads(one.body) for one in found if one.kind in GAPS]
    have = {record_id("demo-01", one): one.crc for one in found}
    position = journal.position("u")
    for name, crc in acknowledged.items():
        if name in have:
            assert have[name] == crc
            continue
        sequence = int(name.rpartition("/")[2])
        assert sequence <= position or any(gap["first"] <= sequence <= gap["last"] for gap in gaps), f"lost: {name}"
    numbers = [json.loads(one.body)["n"] for one in found if one.kind not in GAPS]
    assert numbers == sorted(set(numbers))
    assert max(numbers, default=0) < max(most, 1)
    await journal.close()


def run(states, seed, place, lane):
    rng = random.Random(seed)
    (place / "work").mkdir()
    log = record(place / "work", lane, seed)
    calls = [index for index, entry in enumerate(log) if entry[0] not in ("ack", "try")]
    failed = [index for index, entry in enumerate(log) if entry[0] == "unsynced"]
    near = [index for index in calls if any(0 < index - one < 60 for one in failed)]
    cuts = sorted(rng.choices(calls, k=states // 2) + rng.choices(near, k=states - states // 2))
    platter, acknowledged, least, most = Platter(), {}, 0, 0
    done = 0
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
        asyncio.run(check(there, lane, acknowledged, least, most))
    return len(calls)


def test_fifty_power_cuts_lose_nothing(tmp_path):
    """A small share of R2's ten thousand."""
    for lane in Lane:
        (tmp_path / lane.value).mkdir()
        assert run(25, 1, tmp_path / lane.value, lane) > 500


if __name__ == "__main__":
    total = int(sys.argv[1])
    for round_number in range(total // 500):
        for chosen in Lane:
            with tempfile.TemporaryDirectory() as where:
                run(250, round_number, Path(where), chosen)
    sys.stdout.write(f"{total} states: 0 lost, 0 unopenable, 0 phantom\n")
