"""The journal on a working disk: order, transactions, positions, retention, what a reader gets."""

import asyncio
import json
import os
import secrets
import shutil
import stat
from itertools import pairwise

import apsw
import pytest

from gateway.errors import StorageError
from gateway.model import Lane
from gateway.store.file import Work
from gateway.store.journal import Journal
from gateway.store.seal import ZERO, sound
from gateway.store.worker import InlineWorker
from gateway.wire.payloads import record_id
from tests.gateway.journal_tools import (
    EVENT,
    GAPS,
    StillClock,
    bodies,
    commit,
    draft,
    everything,
    faulty_disk,
    make,
    numbers,
    opened,
)
from tests.waiting import until

lanes = pytest.mark.parametrize("lane", Lane)
threads = pytest.mark.parametrize("threaded", [True, False], ids=["thread", "inline"])


@lanes
@threads
async def test_records_have_their_numbers_at_once_and_are_told_when_durable(tmp_path, lane, threaded):
    """commit() returns sealed records; `then` comes later, once, without an error; the order is that of the calls."""
    async with opened(tmp_path / "j.db", lane, threaded=threaded) as journal:
        told = []
        first = journal.commit([draft(b"1"), draft(b"2")], {}, lambda *args: told.append(args))
        second = journal.commit([draft(b"3")], {}, lambda *args: told.append(args))
        assert not told
        assert numbers(first + second) == [1, 2, 3]
        await until(lambda: len(told) == 2)
        assert told == [(first, None), (second, None)]
        assert all(record.durable and sound("demo-01", record) for record in first + second)
        assert await everything(journal) == first + second


@lanes
async def test_what_was_committed_is_there_after_a_restart(tmp_path, lane):
    """Same journal, another run; sequences go on without a hole; ids differ."""
    async with opened(tmp_path / "j.db", lane) as journal:
        before, _ = await commit(journal, b"1", b"2", state={"a": b"x", "b": b"y"})
        old = journal.opened
    async with opened(tmp_path / "j.db", lane, StillClock("c" * 32)) as journal:
        assert journal.opened.journal == old.journal
        assert journal.opened.run != old.run
        assert journal.opened.first == 3
        assert journal.opened.durable
        assert journal.opened.checked
        assert journal.opened.set_aside is None
        assert journal.opened.previous_boot == before[0].boot
        assert journal.state() == {"a": b"x", "b": b"y"}
        after, _ = await commit(journal, b"3")
        found = await everything(journal)
        assert found == before + after
        assert len({record_id("demo-01", record) for record in found}) == 3


async def test_state_is_kept_current_and_none_deletes(tmp_path):
    """Records and state are one transaction; a state of its own is fine too."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"1", state={"a": b"1", "b": b"2"})
        records, error = await commit(journal, state={"a": None, "b": b"3", "missing": None})
        assert (records, error) == ([], None)
        assert journal.state() == {"b": b"3"}
    async with opened(tmp_path / "j.db") as journal:
        assert journal.state() == {"b": b"3"}
        assert bodies(await everything(journal)) == [b"1"]


async def test_what_waits_shares_a_transaction(tmp_path):
    """A hundred commits while the disk is busy are not a hundred syncs."""
    async with opened(tmp_path / "j.db") as journal:
        told = []
        for number in range(100):
            journal.commit([draft(b"%d" % number)], {}, lambda *args: told.append(args))
        await until(lambda: len(told) == 100)
        assert [records[0].sequence for records, _ in told] == list(range(1, 101))
        assert journal.counters().transactions <= 3
        assert journal.counters().committed == 100


async def test_the_alarm_chain_links_every_record_across_runs(tmp_path):
    """Each record names the digest of the one before; the first one zeros."""
    for _ in range(3):
        async with opened(tmp_path / "j.db") as journal:
            await commit(journal, b"1", b"2")
            await commit(journal, b"3")
            found = await everything(journal)
            assert await journal.verify() is None
    assert found[0].previous == ZERO
    assert all(before.digest == after.previous for before, after in pairwise(found))


async def test_after_keeps_to_its_limits_and_gives_at_least_one(tmp_path):
    """Records and bytes; a record larger than the limit still comes."""
    async with opened(tmp_path / "j.db", Lane.TELEMETRY) as journal:
        await commit(journal, *(b"x" * 1000 for _ in range(10)))
        assert numbers(await journal.after(0, 3, 10**6)) == [1, 2, 3]
        assert numbers(await journal.after(3, 100, 2500)) == [4, 5]
        assert numbers(await journal.after(5, 100, 1)) == [6]
        assert await journal.after(10, 100, 10**6) == []
        assert await journal.after(99, 100, 10**6) == []


@lanes
async def test_backlog_and_live_are_one_path(tmp_path, lane):
    """What comes from the file and what comes from memory are equal, and joined without hole or repetition."""
    async with opened(tmp_path / "j.db", lane) as journal:
        for number in range(20):
            await commit(journal, b"%03d" % number)
    async with opened(tmp_path / "j.db", lane) as journal:
        for number in range(20, 40):
            await commit(journal, b"%03d" % number)
        found = await everything(journal, page=7)
        assert numbers(found) == list(range(1, 41))
        assert bodies(found) == [b"%03d" % number for number in range(40)]


async def test_a_long_run_does_not_keep_its_records_in_memory(tmp_path):
    """The newest stay, older ones come from the file, in order all the same."""
    async with opened(tmp_path / "j.db", Lane.TELEMETRY) as journal:
        for number in range(60):
            await commit(journal, b"%05d" % number * 4000)
        held = journal._writer.tail.memory(0, early=True)
        assert 0 < len(held) < 40
        assert numbers(await everything(journal)) == list(range(1, 61))


async def test_a_watcher_is_called_when_there_is_more(tmp_path):
    """The uplink needs no timer."""
    async with opened(tmp_path / "j.db") as journal:
        called = []
        journal.on_visible(lambda: called.append(journal.counters().durable))
        await commit(journal, b"1")
        await until(lambda: called)
        assert called[0] == 1


async def test_alarms_are_settled_in_any_order(tmp_path):
    """Position: all before it are settled; those beyond it are remembered, over a restart too."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, *(b"%d" % number for number in range(6)))
        assert journal.position("a") == 0
        journal.settle("a", [2, 5])
        journal.settle("a", [1])
        assert journal.position("a") == 2
        assert numbers(await journal.unsettled("a")) == [3, 4, 6]
        assert numbers(await journal.unsettled("a", 2)) == [3, 4]
        assert journal.backlog("a") == 3
        assert journal.position("b") == 0
    async with opened(tmp_path / "j.db") as journal:
        assert journal.position("a") == 2
        assert numbers(await journal.unsettled("a")) == [3, 4, 6]
        assert numbers(await journal.unsettled("b")) == [1, 2, 3, 4, 5, 6]


async def test_a_record_is_dated_by_its_own_moment(tmp_path):
    """Not by that of its commit: a pack waits for its burst."""
    clock = StillClock()
    async with opened(tmp_path / "j.db", clock=clock) as journal:
        clock.advance(50)
        (record,) = journal.commit([draft(at=clock.now - 30)])
        assert (record.at, record.wall) == (clock.now - 30, clock.wall() - 30)


async def test_a_settlement_is_written_without_a_commit(tmp_path):
    """Within two seconds, so that a crash repeats little."""
    clock = StillClock()
    async with opened(tmp_path / "j.db", clock=clock) as journal:
        await commit(journal, b"1")
        transactions = journal.counters().transactions
        journal.settle("a", [1])
        clock.advance(2.01)
        await until(lambda: journal.counters().transactions > transactions)
        assert b"[[0,1]]" in (tmp_path / "j.db-wal").read_bytes()


async def test_a_settlement_shares_the_commit_of_the_next_second(tmp_path):
    """Whenever in the second the receipt comes: a card need not bear a sync for each."""
    clock = StillClock()
    async with opened(tmp_path / "j.db", clock=clock) as journal:
        journal.position("a")
        await commit(journal, b"0")
        transactions = journal.counters().transactions
        for second, lag_s in enumerate((0.3, 0.05, 0.0, 0.9, 0.1), 1):
            await commit(journal, b"x")
            clock.advance(lag_s)
            journal.settle_to("a", second)
            clock.advance(1 - lag_s)
            for _ in range(5):
                await asyncio.sleep(0)
        assert await commit(journal, b"end")
        assert journal.counters().transactions == transactions + 6


async def test_an_uplink_that_is_no_more_keeps_nothing(tmp_path):
    """Else its position would hold every record for ever."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"1", b"2")
        journal.settle_to("a", 2)
        assert journal.position("old") == 0
        journal.keep_uplinks(["a"])
        assert journal.settlement.by_all().pairs() == ((0, 2),)
    async with opened(tmp_path / "j.db") as journal:
        assert journal.settlement.names() == ("a",)


async def test_files_are_for_their_owner_alone(tmp_path):
    """0600 for all of them, whatever the umask; also when an older file was open to others."""
    old = os.umask(0)
    try:
        async with opened(tmp_path / "deep" / "er" / "j.db") as journal:
            await commit(journal, b"1")
            for path in (tmp_path / "deep" / "er").iterdir():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE((tmp_path / "deep" / "er").stat().st_mode) == 0o700
    finally:
        os.umask(old)
    path = tmp_path / "deep" / "er" / "j.db"
    path.chmod(0o644)
    async with opened(path) as journal:
        await commit(journal, b"2")
        assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


async def test_a_second_process_is_refused_and_works_from_memory(tmp_path):
    """One connection owns the file; the second one says so and goes on with a journal of its own."""
    async with opened(tmp_path / "j.db") as first, opened(tmp_path / "j.db") as second:
        assert not second.opened.durable
        assert "locked" in second.opened.why.lower()
        assert second.opened.journal != first.opened.journal
        records, error = await commit(second, b"alarm")
        assert error
        assert not records[0].durable


async def test_another_gateways_file_is_set_aside(tmp_path):
    """A card that was moved must not send the other box's records under our name."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"1")
    async with opened(tmp_path / "j.db", gateway="demo-02") as journal:
        assert journal.opened.set_aside.exists()
        assert journal.opened.first == 1
        assert await everything(journal) == []


async def test_durability_is_what_sqlite_was_asked_for(tmp_path):
    """WAL, FULL, exclusive, no mmap: the guarantees rest on these four."""
    async with opened(tmp_path / "j.db") as journal:
        db = journal._file._db
        settings = ("journal_mode", "synchronous", "locking_mode", "mmap_size")
        assert [db.pragma(setting) for setting in settings] == ["wal", 2, "exclusive", 0]
        assert not (tmp_path / "j.db-shm").exists()
        assert apsw.sqlite_lib_version() >= "3.54"


async def test_the_log_is_checkpointed_and_stays_small(tmp_path):
    """1 MiB of frames in the alarm lane, then it begins anew."""
    async with opened(tmp_path / "j.db") as journal:
        for _ in range(40):
            await commit(journal, *(b"x" * 3000 for _ in range(50)))
        assert (tmp_path / "j.db-wal").stat().st_size < 3 * 2**20
        assert journal.counters().failing_since is None


async def test_a_commit_after_close_is_a_bug(tmp_path):
    """It would be lost without a word."""
    async with opened(tmp_path / "j.db") as journal:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        journal.commit([draft()])


async def test_close_commits_what_waits(tmp_path):
    """Also when nobody waited for it."""
    journal = make(tmp_path / "j.db")
    await journal.open()
    for number in range(1200):
        journal.commit([draft(b"%d" % number)])
    await journal.close()
    async with opened(tmp_path / "j.db") as journal:
        assert len(await everything(journal, page=500)) == 1200


# -- retention -------------------------------------------------------------------------------------------------------


async def test_settled_telemetry_goes_first_and_needs_no_gap(tmp_path):
    """Oldest first, counted; what the district has not is all still there."""
    async with opened(tmp_path / "j.db", Lane.TELEMETRY, quota_bytes=400_000) as journal:
        assert journal.position("a") == 0
        for number in range(60):
            records, _ = await commit(journal, b"%03d" % number * 3000)
            if number % 10 == 9 and number < 50:
                journal.settle_to("a", records[-1].sequence)
        await until(lambda: not journal._room.making)
        counters = journal.counters()
        assert counters.dropped["settled"] > 20
        assert set(counters.dropped) == {"settled"}
        assert counters.used_bytes <= 400_000
        found = await everything(journal, journal.position("a"))
        assert numbers(found) == list(range(51, 61))
        assert await journal.verify() is None


async def test_unsettled_telemetry_is_thinned_counted_and_told(tmp_path):
    """Every second pack goes, oldest first, never the newest; counts and gap records agree exactly."""
    async with opened(tmp_path / "j.db", Lane.TELEMETRY, quota_bytes=400_000) as journal:
        assert journal.position("a") == 0
        for number in range(150):
            await commit(journal, b"%03d" % number * 3000)
        await until(lambda: not journal._room.making)
        counters = journal.counters()
        found = await everything(journal, 0)
        stored = await journal.unsettled("a", 1000)
        gaps = [record for record in stored if record.kind in GAPS]
        packs = [record for record in stored if record.kind not in GAPS]
        assert counters.used_bytes <= 400_000
        assert packs[-1].body == b"149" * 3000
        assert counters.dropped["quota"] == 150 - len(packs)
        assert sum(json_of(gap)["dropped"] for gap in gaps) == counters.dropped["quota"]
        assert {json_of(gap)["reason"] for gap in gaps} == {"quota"}
        missing = set(range(1, counters.last + 1)) - set(numbers(stored))
        assert all(any(json_of(gap)["first"] <= one <= json_of(gap)["last"] for gap in gaps) for one in missing)
        assert journal.backlog("a") == len(stored)
        assert set(numbers(stored)) <= set(numbers(found))
        assert await journal.verify() is None
        # coarser as a whole, not cut off: the oldest third still has something
        assert any(record.sequence < 50 for record in packs)


def json_of(record):
    return json.loads(record.body)


async def test_a_full_alarm_lane_folds_the_repeats_of_the_chattering_alarm(tmp_path):
    """Other alarms are all kept; the chatter keeps its newest record; the fold is a counted record; 80 % is told."""
    async with opened(tmp_path / "j.db", quota_bytes=300_000) as journal:
        assert journal.position("a") == 0
        quiet = [b'{"alarm":"quiet-%d","x":"%s"}' % (number, b"y" * 200) for number in range(20)]
        for body in quiet:
            await commit(journal, body, kind="gengfu.alarm.transition")
        nearly = False
        for start in range(0, 1000, 5):
            some = [b'{"alarm":"chatter","n":%d,"x":"%s"}' % (number, b"y" * 500) for number in range(start, start + 5)]
            await commit(journal, *some, kind="gengfu.alarm.transition")
            nearly = nearly or journal.counters().nearly_full
        await until(lambda: not journal._room.making)
        counters = journal.counters()
        stored = await journal.unsettled("a", 10_000)
        gaps = [json_of(record) for record in stored if record.kind in GAPS]
        kept = [record.body for record in stored if record.kind not in GAPS]
        assert nearly
        assert counters.used_bytes <= 300_000
        assert set(quiet) <= set(kept)
        assert json_of(next(r for r in reversed(stored) if r.kind not in GAPS))["n"] == 999
        assert b'"n":0,' in b"".join(kept)
        assert counters.dropped["repeats"] == 1020 - len(kept) == sum(gap["dropped"] for gap in gaps)
        assert all("chatter" in gap["reason"] for gap in gaps)
        assert await journal.verify() is None
        # the position is not held up by what will never come
        journal.settle("a", numbers(stored))
        assert journal.position("a") == counters.last


async def test_different_alarms_are_kept_beyond_the_quota(tmp_path):
    """There is nothing to fold: an alarm is worth more than a limit, and the fault says so."""
    async with opened(tmp_path / "j.db", quota_bytes=100_000) as journal:
        assert journal.position("a") == 0
        for number in range(100):
            body = b'{"alarm":"a-%d","x":"%s"}' % (number, b"y" * 1500)
            await commit(journal, body, kind="gengfu.alarm.transition")
        await until(lambda: not journal._room.making)
        assert len(await journal.unsettled("a", 1000)) == 100
        assert journal.counters().nearly_full
        assert not journal.counters().dropped.get("repeats")


async def test_pruning_does_not_hold_up_commits(tmp_path):
    """A commit that comes while a large lane is pruned is told long before the pruning ends."""
    path = tmp_path / "j.db"
    async with opened(path, quota_bytes=2**26) as journal:
        assert journal.position("a") == 0
        for _ in range(40):
            await commit(journal, *(b'{"alarm":"c","x":"%s"}' % (b"y" * 300) for _ in range(250)), kind="k")
        journal.settle_to("a", 10_000)
    async with opened(path, quota_bytes=1_000_000) as journal:
        await commit(journal, b"{}", kind=EVENT)
        assert journal._room.making
        _, error = await commit(journal, b"{}", kind=EVENT)
        assert error is None
        assert journal._room.making
        assert await asyncio.wait_for(_idle(journal), 20)
        assert journal.counters().used_bytes < 1_000_000


async def _idle(journal):
    return await until(lambda: not journal._room.making, 20)


async def test_state_without_records_does_not_pile_up_behind_a_dead_disk(tmp_path):
    """72 h of one state a second would be 260,000 commits: they join the one that waits; the latest is there at the end."""
    with faulty_disk() as disk:
        async with opened(tmp_path / "j.db") as journal:
            disk.failing.add("write")
            await commit(journal, b"1")
            for number in range(1000):
                journal.commit([], {"clocks": b"%d" % number})
            assert journal.counters().waiting <= 2
            disk.heal()
    async with opened(tmp_path / "j.db") as journal:
        assert journal.state() == {"clocks": b"999"}
        assert bodies(await everything(journal)) == [b"1"]


class PowerCuts(InlineWorker):
    """Keeps what a power cut would leave after each job: a copy of the file and its log."""

    def __init__(self, path, place):
        self.path, self.place, self.states = path, place, []

    def submit(self, job):
        job()
        state = self.place / str(len(self.states))
        state.mkdir(parents=True)
        for suffix in ("", "-wal"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                shutil.copy(part, state / part.name)
        self.states.append(state)


async def test_no_state_is_on_the_disk_before_its_record(tmp_path):
    """The first transaction after a failure brings all of the state (the file was opened again), so all records, too."""
    path, clock = tmp_path / "j.db", StillClock()
    disk_of_states = PowerCuts(path, tmp_path / "cuts")
    with faulty_disk() as disk:
        journal = Journal(Lane.ALARM, path, "demo-01", clock, disk_of_states, 2**26, secrets.token_hex)
        await journal.open()
        disk.failing.add("write")
        for number in range(1, 701):
            journal.commit([draft()], {f"{number}": b"1"})
        await _turns()
        disk.heal()
        while journal.counters().waiting:
            clock.advance(2.0)
            await _turns()
        await journal.close()
    for state in disk_of_states.states:
        async with opened(state / "j.db") as journal:
            assert len(journal.state()) == journal.opened.first - 1


async def _turns():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_was_settled_and_never_reached_the_disk_settles_no_later_record(tmp_path):
    """An alarm told early is receipted, then the power goes: its number is given to another, which must be sent."""
    async with opened(tmp_path / "j.db") as journal:
        journal.position("a")
        await commit(journal, b"1", b"told early")
        journal.settle("a", [1, 2])
    db = apsw.Connection(str(tmp_path / "j.db"))
    db.execute("DELETE FROM record WHERE sequence = 2")
    db.close()
    for body in (b"new", b"newer"):
        async with opened(tmp_path / "j.db") as journal:
            await commit(journal, body)
    async with opened(tmp_path / "j.db") as journal:
        assert bodies(await journal.unsettled("a")) == [b"new", b"newer"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the bug is shown, as it should be
async def test_a_bug_on_the_disks_thread_is_an_error_and_not_the_end_of_the_lane(tmp_path):
    """Nobody waits for ever: the commit is told and tried again, the question is answered."""
    with faulty_disk() as disk:
        async with opened(tmp_path / "j.db") as journal:
            with pytest.raises(StorageError):
                await asyncio.wait_for(journal._writer.ask(lambda: 1 // 0), 5)
            disk.failing.add("memory")
            _, error = await commit(journal, b"1")
            assert error
            disk.heal()
            await until(lambda: not journal.counters().waiting)
            assert bodies(await everything(journal)) == [b"1"]


@lanes
async def test_a_lane_of_which_all_is_settled_keeps_its_numbers(tmp_path, lane):
    """State alone fills the quota, so every record may go: the next run still goes on with numbers and chain."""
    async with opened(tmp_path / "j.db", lane, quota_bytes=64 * 1024) as journal:
        journal.position("a")
        records, _ = await commit(journal, *[bytes(1000)] * 20)
        journal.settle_to("a", 20)
        journal.commit([], {"large": bytes(100_000)})
        await until(lambda: journal.counters().dropped.get("settled", 0) >= 19)
        await _idle(journal)
    async with opened(tmp_path / "j.db", lane) as journal:
        assert journal.opened.first == 21
        following, _ = await commit(journal, b"next")
        assert following[0].previous == records[-1].digest


async def test_numbers_go_on_beyond_what_is_gone(tmp_path):
    """Power fails between a file that was lost and the first record in its place: no number is given twice."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"1", b"2", b"3")
        (tmp_path / "j.db").unlink()
        cut = PowerCuts(tmp_path / "j.db", tmp_path / "cuts")
        with pytest.raises(StorageError):
            journal._file.write(Work(), journal.expected(3, with_state=False))
        journal._file.write(Work(), journal.expected(3, with_state=True))
        cut.submit(lambda: None)
    async with opened(cut.states[0] / "j.db") as journal:
        assert journal.opened.first == 4
        assert journal.position("a") == 3
        await commit(journal, b"4")
        assert numbers(await everything(journal)) == [4]
