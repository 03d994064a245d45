"""A damaged file never gives a wrong value: what cannot be trusted is left out, counted and told, or set aside whole."""

import asyncio
import random
import shutil

import apsw
import pytest

from gateway.model import Lane
from gateway.store.file import Drop
from gateway.store.open import LARGEST_BYTES, connect_to_read
from gateway.store.open import set_aside as aside
from tests.gateway.journal_tools import GAPS, bodies, commit, everything, faulty_disk, numbers, opened
from tests.waiting import until


async def filled(path, lane=Lane.ALARM, count=40, size=300):
    """A closed file with `count` records; returns them."""
    async with opened(path, lane) as journal:
        journal.position("u")
        for number in range(count):
            await commit(journal, b"%04d" % number * (size // 4), state={f"s{number % 7}": b"%d" % number})
        return await everything(journal)


def change(path, sql, *values):
    """Damage a row as a flipped page would: behind the journal's back."""
    db = apsw.Connection(str(path))
    db.execute(sql, values)
    db.close()


def overwrite(path, offset, content):
    """In place: the inode stays, as when a card goes bad."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize(
    "assignment",
    ["body = x'00'", "kind = 'gengfu.event.tesu'", "at = at + 0.5", "wall = wall - 1", "trusted = 1 - trusted", "run = 'x'",
     "boot = 'x'", "crc = crc + 1", "sequence = 100000", "kind = CAST(x'ff' AS TEXT)", "trusted = 7"],
)  # fmt: skip
async def test_a_damaged_record_is_left_out_counted_and_told_once(tmp_path, lane, assignment):
    """In every column; the others come; the gap is told once, over restarts too."""
    before = await filled(tmp_path / "j.db", lane)
    change(tmp_path / "j.db", f"UPDATE record SET {assignment} WHERE sequence = 17")
    for _ in range(2):
        async with opened(tmp_path / "j.db", lane) as journal:
            assert journal.opened.set_aside is None
            found = [record for record in await everything(journal) if record.kind not in GAPS]
            assert found == [record for record in before if record.sequence != 17]
            await until(lambda: not journal.counters().waiting)
    async with opened(tmp_path / "j.db", lane) as journal:
        gaps = [record.body for record in await everything(journal) if record.kind in GAPS]
        assert (
            sum(b'"first":17,"last":17,"dropped":1,"reason":"corrupt"' in gap.replace(b" ", b"") for gap in gaps) == 1
        )


@pytest.mark.parametrize("column", ["previous", "digest"])
async def test_a_damaged_link_of_the_chain_is_left_out(tmp_path, column):
    """The digest covers what the CRC does not."""
    await filled(tmp_path / "j.db")
    change(tmp_path / "j.db", f"UPDATE record SET {column} = zeroblob(32) WHERE sequence = 17")
    async with opened(tmp_path / "j.db") as journal:
        assert await journal.verify() == 17
        assert await journal.verify(after=17) is None
        assert 17 not in numbers(await everything(journal))


async def test_verify_finds_a_record_that_vanished(tmp_path):
    """Nobody said that it would: it is missing, in the chain and to the reader."""
    await filled(tmp_path / "j.db")
    change(tmp_path / "j.db", "DELETE FROM record WHERE sequence BETWEEN 10 AND 12")
    async with opened(tmp_path / "j.db") as journal:
        assert await journal.verify() == 10
        await everything(journal)
        await until(lambda: not journal.counters().waiting)
        assert journal.counters().dropped["corrupt"] == 3
        assert await journal.verify() is None
        assert numbers(await journal.unsettled("new"))[:12] == [*range(1, 10), 13, 14, 15]


async def test_verify_finds_an_exchanged_record(tmp_path):
    """Sound in itself, of another journal: the chain does not hold."""
    await filled(tmp_path / "j.db")
    await filled(tmp_path / "other.db")
    db = apsw.Connection(str(tmp_path / "j.db"))
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.execute("DELETE FROM record WHERE sequence = 20")
    db.execute("INSERT INTO record SELECT * FROM other.record WHERE sequence = 20")
    db.close()
    async with opened(tmp_path / "j.db") as journal:
        assert await journal.verify() == 20


@pytest.mark.parametrize("count", [1, 3])
async def test_nothing_is_appended_behind_a_broken_end(tmp_path, count):
    """The last records are broken: their numbers are told as gone and not given again."""
    await filled(tmp_path / "j.db")
    change(tmp_path / "j.db", "UPDATE record SET body = x'00' WHERE sequence > ?", 40 - count)
    async with opened(tmp_path / "j.db") as journal:
        assert journal.opened.first == 41
        records, _ = await commit(journal, b"new")
        assert records[0].sequence == 42  # 41 is the gap record
        found = await everything(journal)
        assert numbers(found) == [*range(1, 41 - count), 41, 42]
        assert journal.counters().dropped == {"corrupt": count}
        assert await journal.verify() is None
        journal.settle("u", numbers(found))
        assert journal.position("u") == 42


async def test_a_damaged_number_at_the_end_does_not_move_the_lane(tmp_path):
    """The row says 2^60: it is not believed."""
    await filled(tmp_path / "j.db")
    change(tmp_path / "j.db", "UPDATE record SET sequence = ? WHERE sequence = 40", 2**60)
    async with opened(tmp_path / "j.db") as journal:
        assert journal.opened.first == 41
        assert numbers(await everything(journal)) == [*range(1, 40), 41]


async def test_damaged_state_is_left_out_and_counted(tmp_path):
    """A wrong state of an alarm is worse than none."""
    await filled(tmp_path / "j.db")
    change(tmp_path / "j.db", "UPDATE item SET value = x'39' WHERE space = 'state' AND key = 's3'")
    async with opened(tmp_path / "j.db") as journal:
        assert journal.opened.damaged_items == 1
        assert set(journal.state()) == {f"s{number}" for number in (0, 1, 2, 4, 5, 6)}


async def test_a_damaged_position_repeats_instead_of_skipping(tmp_path):
    """It goes back to the oldest record."""
    await filled(tmp_path / "j.db")
    async with opened(tmp_path / "j.db") as journal:
        journal.settle_to("u", 30)
    change(tmp_path / "j.db", "UPDATE item SET value = CAST('[[0,35]]' AS BLOB) WHERE space = 'uplink'")
    async with opened(tmp_path / "j.db") as journal:
        assert journal.opened.damaged_items == 1
        assert journal.position("u") == 0


@pytest.mark.parametrize("what", ["header", "noise", "text", "cut", "own", "directory"])
async def test_a_corrupt_file_is_set_aside_and_the_lane_goes_on(tmp_path, what):
    """A new file with a new journal id; the old one is kept beside it, and Opened says so."""
    path = tmp_path / "j.db"
    old = (await filled(path))[0].journal
    content = bytearray(path.read_bytes())
    if what == "header":
        content[0:16] = bytes(16)
    elif what == "noise":
        content[4096:] = random.Random(1).randbytes(len(content) - 4096)
    elif what == "text":
        content = bytearray(b"this is no database\n" * 500)
    elif what == "cut":
        content = content[: len(content) // 2 - 100]
    path.write_bytes(content)
    if what == "own":
        change(path, "UPDATE item SET crc = crc + 1 WHERE space = 'own' AND key = 'segments'")
    if what == "directory":
        path.unlink()
        path.mkdir()
    async with opened(path) as journal:
        if what == "directory":  # not a file at all: nothing to set aside, so from memory
            assert not journal.opened.durable
            return
        assert journal.opened.set_aside.exists()
        assert journal.opened.durable
        assert journal.opened.journal != old
        # What was settled nowhere and is sound comes over; here that is all where only a fact of the file is broken.
        assert journal.opened.first == (41 if what == "own" else journal.opened.first)
        kept = await everything(journal)
        records, error = await commit(journal, b"1")
        assert error is None
        assert await everything(journal) == kept + records


async def test_only_the_newest_damaged_files_are_kept(tmp_path):
    """A bad card would else fill the disk with them."""
    for number in range(5):
        (tmp_path / "j.db").write_bytes(b"broken %d" % number * 100)
        async with opened(tmp_path / "j.db") as journal:
            assert journal.opened.set_aside
    kept = sorted(path.read_bytes()[:8] for path in tmp_path.glob("j.db.broken-*"))
    assert kept == [b"broken 3", b"broken 4"]


async def test_a_file_found_damaged_in_use_is_replaced_and_numbers_go_on(tmp_path):
    """The commit is told as not durable, then is in a new file with its id; what was in the old one is told as lost."""
    path = tmp_path / "j.db"
    async with opened(path) as journal:
        await commit(journal, b"1", b"2", state={"a": b"1"})
        journal._file._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        journal._file._db.cache_flush()
        overwrite(path, 4096, random.Random(2).randbytes(path.stat().st_size - 4096))
        journal._file._db.execute("PRAGMA shrink_memory")
        told, error = await commit(journal, b"3", state={"b": b"2"})
        assert error
        await until(lambda: not journal.counters().waiting and journal.counters().failing_since is None)
        await until(lambda: journal.counters().dropped.get("lost") == 2 and not journal.counters().waiting)
        assert journal.counters().set_aside.exists()
        assert await journal.verify() is None
    async with opened(path) as journal:
        found = await everything(journal)
        assert bodies(found) == [b"3"]
        assert found[0].crc == told[0].crc
        assert journal.state() == {"a": b"1", "b": b"2"}


async def test_an_end_found_broken_when_the_file_is_opened_again_is_told(tmp_path):
    """After a failure the file is opened anew: durable records that broke meanwhile are a loss, ours are written again."""
    path = tmp_path / "j.db"
    with faulty_disk() as disk:
        async with opened(path) as journal:
            await commit(journal, b"1", b"2", b"3")
            disk.failing.add("sync")
            _, error = await commit(journal, b"4")
            assert error
            journal._file._leave()
            disk.heal()
            change(path, "UPDATE record SET body = x'00' WHERE sequence >= 3")
            await until(lambda: journal.counters().failing_since is None and not journal.counters().waiting)
            await until(lambda: journal.counters().dropped == {"corrupt": 1} and not journal.counters().waiting)
            assert await journal.verify() is None
        async with opened(path) as journal:
            assert bodies(await everything(journal)) == [b"1", b"2", b"4"]


def damage_page(journal, path, find):
    """The page of an open file that holds what `find` finds can no longer be read."""
    db = journal._file._db
    db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    overwrite(path, find(path.read_bytes()) // 4096 * 4096, b"\xff" * 100)
    db.execute("PRAGMA shrink_memory")


async def test_a_damaged_page_behind_many_that_are_gone_stops_no_reader(tmp_path):
    """A folded range is longer than a read, and what comes after it cannot be read: it is stepped over all the same."""
    path = tmp_path / "j.db"
    await filled(path, count=200)
    async with opened(path) as journal:
        told = asyncio.get_running_loop().create_future()
        drop = Drop(tuple(range(2, 151)), ((2, 150),))
        journal._owed.tell_gap((2, 150), 149, "repeats of a", drop, lambda records, error: told.set_result(error))
        assert await told is None
    async with opened(path) as journal:
        damage_page(journal, path, lambda content: content.index(b"0150" * 75))
        async with asyncio.timeout(5):
            found = await journal.after(1, 64, 1 << 20)
            while found[-1].sequence < 200:
                found += await journal.after(found[-1].sequence, 64, 1 << 20)
        assert found[0].sequence > 151
        assert journal.counters().dropped["corrupt"] == found[0].sequence - 151


def break_facts(path):
    """The file no longer says which journal it is: it is set aside whole, though its records are sound."""
    change(path, "UPDATE item SET crc = crc + 1 WHERE space = 'own' AND key = 'segments'")


async def test_alarms_that_nobody_has_are_carried_out_of_a_damaged_file(tmp_path):
    """With their ids and their chain, in a journal that goes on behind them; the settled ones stay where they were; state
    and positions are kept. A second start finds the same."""
    path = tmp_path / "j.db"
    before = await filled(path)
    async with opened(path) as journal:
        journal.settle("u", [*range(1, 21), 30])
        state = journal.state()
    break_facts(path)
    for again in (False, True):
        async with opened(path) as journal:
            assert (journal.opened.set_aside is None) == again
            assert journal.opened.first == 41
            assert await journal.unsettled("u") == [one for one in before if one.sequence > 20 and one.sequence != 30]
            assert journal.position("u") == 20
            assert journal.backlog("u") == 19
            assert journal.state() == state
            assert await journal.verify() is None
            assert set(journal.journals) > {before[0].journal}
            assert not journal.counters().dropped
    async with opened(path) as journal:
        records, _ = await commit(journal, b"after")
        assert records[0].journal != before[0].journal
        assert await journal.verify() is None


async def test_a_power_cut_between_setting_aside_and_carrying_loses_nothing(tmp_path):
    """The new file is made with all that it takes over, or not at all: the next start does it."""
    path = tmp_path / "j.db"
    before = await filled(path)
    break_facts(path)
    aside(path, "cut")
    path.touch()  # as far as it got
    async with opened(path) as journal:
        assert await everything(journal) == before


async def test_a_power_cut_between_the_renames_of_a_file_and_its_log_loses_nothing(tmp_path):
    """The log finds its file again, before SQLite drops a log that it finds alone."""
    path, old = tmp_path / "j.db", tmp_path / "j.db.broken-1"
    async with opened(path) as journal:
        journal.position("u")
        for number in range(3):
            await commit(journal, b"%d" % number)
        before = await everything(journal)
        shutil.copy(path, old)
        log = tmp_path / "log"
        shutil.copy(tmp_path / "j.db-wal", log)
    path.unlink()
    log.rename(tmp_path / "j.db-wal")
    async with opened(path) as journal:
        assert await journal.unsettled("u") == before


async def test_what_is_broken_is_not_carried_and_is_told(tmp_path):
    """A record that does not match its seal, and a state that does not match its CRC, stay in the broken file."""
    path = tmp_path / "j.db"
    before = await filled(path)
    change(path, "UPDATE record SET body = x'00' WHERE sequence = 17")
    change(path, "UPDATE item SET value = x'39' WHERE space = 'state' AND key = 's3'")
    break_facts(path)
    async with opened(path) as journal:
        found = [record for record in await everything(journal) if record.kind not in GAPS]
        assert found == [record for record in before if record.sequence != 17]
        assert "s3" not in journal.state()
        await until(lambda: journal.counters().dropped == {"corrupt": 1})


async def test_nothing_is_carried_from_a_file_of_another_gateway(tmp_path):
    """A card that was moved: neither its alarms nor what it knew of them is ours."""
    path = tmp_path / "j.db"
    await filled(path)
    async with opened(path, gateway="demo-02") as journal:
        assert journal.opened.set_aside
        assert journal.opened.first == 1
        assert journal.state() == {}


async def test_telemetry_of_a_damaged_file_stays_where_it_is(tmp_path):
    """It may be half a gigabyte: the new file begins empty, at once."""
    path = tmp_path / "j.db"
    await filled(path, Lane.TELEMETRY)
    break_facts(path)
    async with opened(path, Lane.TELEMETRY) as journal:
        assert journal.opened.first == 1


async def test_a_file_that_breaks_in_use_keeps_its_alarms(tmp_path):
    """The end of the tree cannot be read: the next commit sets the file aside, and what could be read is in the new one."""
    path = tmp_path / "j.db"
    before = await filled(path, count=100)
    async with opened(path) as journal:
        damage_page(journal, path, lambda content: content.rindex(b"0099" * 75))
        told, error = await commit(journal, b"after")
        assert error
        await until(lambda: journal.counters().failing_since is None and not journal.counters().waiting)
        assert journal.counters().set_aside.exists()
        found = await everything(journal)
        kept = [one for one in found if one.kind not in GAPS and one.sequence <= 100]
        assert kept == before[: len(kept)]
        assert len(kept) > 80
        assert journal.counters().dropped == {"lost": 100 - len(kept)}
        assert told[0].sequence == 101
        assert await journal.verify() is None


@pytest.mark.parametrize("lane", Lane)
async def test_pages_damaged_in_the_middle_do_not_stop_the_pruning(tmp_path, lane):
    """Neighbours of such a page cannot be deleted either: they stay, everything else goes, and the file is kept."""
    path = tmp_path / "j.db"
    await filled(path, lane, count=100)
    async with opened(path, lane, quota_bytes=100 * 1024) as journal:
        journal.settle_to("u", 100)
        journal._file._db.execute("PRAGMA cache_size=0")
        for number in (20, 50, 70):
            damage_page(journal, path, lambda content, n=number: content.rindex(b"%04d" % n * 60))
        for number in range(300):
            await commit(journal, b'{"alarm":"a","number":"%0300d"}' % number)
        await until(lambda: not journal.counters().waiting)
        await until(lambda: journal.counters().used_bytes <= 100 * 1024)
        assert journal.counters().set_aside is None
        assert journal.counters().dropped["settled"]


async def trial(original, place, before, rng):
    """Flip some bytes; nothing wrong may come out, nothing may go without a word."""
    place.mkdir()
    content = bytearray(original)
    start = rng.randrange(len(content))
    for position in range(start, min(len(content), start + rng.choice([1, 1, 8, 512, 4096]))):
        content[position] ^= 1 << rng.randrange(8)
    (place / "j.db").write_bytes(content)
    known = {record.sequence: record for record in before}
    async with opened(place / "j.db") as journal:
        states = journal.state()
        assert all(states[key] == b"%d" % max(n for n in range(40) if n % 7 == int(key[1:])) for key in states)
        found = [record for record in await everything(journal) if record.kind not in GAPS]
        for record in found:
            assert known.get(record.sequence) == record
        lost = len(before) - len(found)
        said = journal.opened.set_aside or journal.counters().dropped.get("corrupt", 0) >= lost
        assert lost == 0 or said
        assert len(states) == 7 or journal.opened.set_aside or journal.opened.damaged_items
        await commit(journal, b"after")
        await until(lambda: not journal.counters().waiting)
    shutil.rmtree(place)
    return "aside" if journal.opened.set_aside else "lost" if lost else "untouched"


async def test_flipped_bytes_never_become_a_wrong_record(tmp_path):
    """A small share of R7's 1,000 trials."""
    before = await filled(tmp_path / "j.db")
    original = (tmp_path / "j.db").read_bytes()
    rng = random.Random(7)
    seen = [await trial(original, tmp_path / f"t{number}", before, rng) for number in range(80)]
    assert {"aside", "lost", "untouched"} == set(seen)


@pytest.mark.parametrize("settled", [0, 100])
@pytest.mark.parametrize("lane", Lane)
async def test_a_damaged_page_does_not_keep_the_lane_from_its_quota(tmp_path, lane, settled):
    """What cannot be read cannot be weighed: it stays, the others go."""
    path = tmp_path / "j.db"
    await filled(path, lane, count=100)
    async with opened(path, lane, quota_bytes=100 * 1024) as journal:
        journal.settle_to("u", settled)
        journal._file._db.execute("PRAGMA cache_size=0")
        damage_page(journal, path, lambda content: content.rindex(b"0003" * 75))  # the first is left over
        for number in range(300):
            await commit(journal, b'{"alarm":"a","number":"%0300d"}' % number)
        await until(lambda: not journal.counters().waiting)
        await until(lambda: journal.counters().used_bytes <= 100 * 1024)
        assert journal.counters().set_aside is None


@pytest.mark.parametrize("log", [b"", bytes(32)])
async def test_a_damaged_length_takes_no_gigabytes_where_a_file_is_only_read(tmp_path, log):
    """What is saved out of a file that was set aside is read so, with its log and without."""
    await filled(tmp_path / "a.db", count=1)
    (tmp_path / "a.db-wal").write_bytes(log)
    db = connect_to_read(tmp_path / "a.db")
    with pytest.raises(apsw.TooBigError):
        db.execute("SELECT zeroblob(?)", (LARGEST_BYTES + 1,)).fetchall()
    db.close()
