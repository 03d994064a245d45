"""The journal as a state machine against a list: commits, settlements, crashes, restarts, full lanes and failing disks."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.model import Lane
from gateway.wire.payloads import record_id
from tests.gateway.journal_tools import GAPS, Disk, StillClock, draft, everything, make

# SQLite swallows some errors of the injecting VFS (while it closes); apsw then has nobody to raise them to.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

QUOTA_BYTES = 160_000


class JournalMachine(RuleBasedStateMachine):
    """`durable` and `pending` are what was told: on the disk, or announced without it."""

    lane = Lane.ALARM

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.place = Path(tempfile.mkdtemp(prefix="journal-"))
        self.disk = Disk()
        self.clock = StillClock()
        self.durable = {}
        self.pending = {}
        self.told = {}
        self.ids = set()
        self.state = {}
        self.states = [{}]
        """What a crash may leave: the state of the last durable commit and of those announced since."""
        self.settled = set()
        self.gaps = []
        self.opens = 0
        self.abandoned = []

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def spin(self):
        async def turns():
            for _ in range(60):
                await asyncio.sleep(0)

        self.run(turns())

    @initialize()
    def begin(self):
        self.open(self.place / "0" / "j.db")

    def open(self, path):
        self.opens += 1
        self.path = path
        self.journal = make(path, self.lane, self.clock, threaded=False, quota_bytes=QUOTA_BYTES)
        self.opened = self.run(self.journal.open())
        assert self.opened.durable
        assert self.opened.set_aside is None
        assert self.opened.damaged_items == 0
        self.spin()

    @property
    def failing(self):
        return bool(self.disk.failing)

    def settle_books(self):
        """Nothing waits any more: what was pending is durable."""
        if not self.journal.counters().waiting:
            self.durable |= self.pending
            self.pending = {}
            self.states = [dict(self.state)]

    # -- what can happen ---------------------------------------------------------------------------------------------

    @rule(
        sizes=st.lists(st.integers(1, 6000), max_size=4),
        subject=st.integers(0, 3),
        state=st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.binary(max_size=20)), max_size=2),
    )
    def commit(self, sizes, subject, state):
        self.commit_all(sizes, subject, state)

    @rule(count=st.integers(1, 40), size=st.integers(100, 3000), subject=st.integers(0, 3))
    def flood(self, count, size, subject):
        """One alarm chatters until the lane is full."""
        for start in range(0, count, 8):
            self.commit_all([size] * min(8, count - start), subject, {"flood": b"%d" % start})

    def commit_all(self, sizes, subject, state):
        bodies = [
            json.dumps({"alarm": f"a{subject}", "n": len(self.ids) + n, "x": "x" * s}) for n, s in enumerate(sizes)
        ]
        calls = []
        drafts = [draft(body.encode(), "gengfu.alarm.transition", self.clock.now) for body in bodies]
        records = self.journal.commit(drafts, state, lambda *args: calls.append(args))
        assert [record.body for record in records] == [one.body for one in drafts]
        for record in records:
            name = record_id("demo-01", record)
            assert name not in self.ids, "an id was given twice"
            self.ids.add(name)
        self.state = {key: value for key, value in {**self.state, **state}.items() if value is not None}
        self.states.append(dict(self.state))
        self.pending |= {record.sequence: record for record in records}
        self.spin()
        assert len(calls) == 1, "told exactly once"
        error = bool(calls[0][1])
        assert error == self.failing or not sizes  # a commit that changes nothing needs no disk
        assert [record.crc for record in calls[0][0]] == [record.crc for record in records]
        assert all(record.durable != error for record in calls[0][0])
        self.settle_books()

    @rule(which=st.sets(st.integers(1, 60), max_size=20))
    def settle(self, which):
        """As receipts come: any order, also for what does not exist."""
        last = self.journal.counters().last
        self.journal.settle("u", which)
        self.settled |= {sequence for sequence in which if sequence <= last}

    @rule(share=st.floats(0, 1))
    def settle_to(self, share):
        """As a cumulative receipt."""
        position = int(self.journal.counters().durable * share)
        self.journal.settle_to("u", position)
        self.settled |= set(range(1, position + 1))

    @rule()
    def time_goes_on(self):
        self.clock.advance(2.5)
        self.spin()
        self.settle_books()

    @rule(fault=st.sampled_from(["write", "sync", "full"]))
    def the_disk_fails(self, fault):
        self.disk.failing.add(fault)

    @precondition(lambda self: self.failing)
    @rule()
    def the_disk_heals(self):
        self.disk.heal()
        for _ in range(3):
            self.clock.advance(2.5)
            self.spin()
        assert self.journal.counters().failing_since is None
        assert self.journal.counters().waiting == 0
        self.settle_books()

    @precondition(lambda self: not self.failing)
    @rule()
    def restart(self):
        self.clock.advance(2.5)
        self.spin()
        self.run(self.journal.close())
        self.settle_books()
        assert not self.pending
        self.open(self.path)
        assert self.journal.state() == self.state
        assert all(sequence in self.settled or self.is_gone(sequence) for sequence in self.settled_there())

    @rule()
    def crash(self):
        """The process is gone, the files stay as they are."""
        place = self.place / str(self.opens)
        place.mkdir()
        for part in self.path.parent.glob("j.db*"):
            shutil.copy(part, place)
        self.journal._writer.stop()
        self.abandoned.append(self.journal)
        self.disk.heal()
        self.open(place / "j.db")
        there = {record.sequence: record for record in self.run(everything(self.journal))}
        for sequence, record in self.pending.items():  # announced: may be there, but then as announced
            if sequence in there and there[sequence].run == record.run:
                self.durable[sequence] = record
        self.pending = {}
        assert self.journal.state() in self.states
        self.state = self.journal.state()
        self.states = [dict(self.state)]
        found = self.settled_there()
        assert all(sequence in self.settled or self.is_gone(sequence) for sequence in found)
        self.settled &= found

    # -- what must hold ----------------------------------------------------------------------------------------------

    def settled_there(self):
        """What the journal holds to be settled, of what exists."""
        self.journal.position("u")
        ranges = self.journal.settlement._uplinks["u"]
        return {number for number in range(1, self.journal.counters().last + 1) if number in ranges}

    def is_gone(self, sequence):
        return any(first <= sequence <= last for first, last in self.gaps)

    @invariant()
    def what_is_read_is_what_was_committed(self):
        if not self.opens:
            return
        found = self.run(everything(self.journal))
        expected = {**self.durable, **(self.pending if self.lane is Lane.ALARM else {})}
        sequences = [record.sequence for record in found]
        assert sequences == sorted(set(sequences)), "in order, each once"
        for record in found:
            if record.kind in GAPS:
                gap = json.loads(record.body)
                self.gaps.append((gap["first"], gap["last"]))
            else:
                assert expected[record.sequence].crc == record.crc
                assert expected[record.sequence].digest == record.digest
        self.gaps = sorted(set(self.gaps))
        missing = set(expected) - set(sequences)
        assert all(sequence in self.settled or self.is_gone(sequence) for sequence in missing), "lost without a word"
        dropped = self.journal.counters().dropped
        assert not dropped.get("corrupt")
        assert not dropped.get("lost")

    @invariant()
    def the_chain_holds(self):
        if self.opens and not self.failing:
            assert self.run(self.journal.verify()) is None

    @invariant()
    def the_settled_does_not_come_back(self):
        if not self.opens:
            return
        open_ones = {record.sequence for record in self.run(self.journal.unsettled("u", 1000))}
        assert not open_ones & self.settled
        position = self.journal.position("u")
        assert all(sequence > position for sequence in open_ones)

    @invariant()
    def the_quota_holds(self):
        """Within the last commit's size; alarms that cannot be folded may go beyond."""
        if self.opens and self.lane is Lane.TELEMETRY and not self.failing:
            assert self.journal.counters().used_bytes <= QUOTA_BYTES

    def teardown(self):
        self.disk.heal()
        if self.opens:
            self.run(self.journal.close())
        for journal in self.abandoned:
            journal._file.close()
        self.loop.close()
        self.disk.unregister()
        shutil.rmtree(self.place)


class TelemetryMachine(JournalMachine):
    """The same with thinning, and without early sight."""

    lane = Lane.TELEMETRY


CI = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
TestAlarmLane = JournalMachine.TestCase
TestAlarmLane.settings = CI
TestTelemetryLane = TelemetryMachine.TestCase
TestTelemetryLane.settings = CI
