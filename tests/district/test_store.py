"""The database: nothing twice, nothing lost, nothing half."""

import json
import random

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from district import journals as journals_module
from district import store as store_module
from district.record import Status, parse
from district.store import Arrival, Rejected, Store, StoreError
from tests.district.messages import BOOT, ZEROS, attributes, chained, gap, pack, transition

AT = 1_795_306_900.1234


@pytest.fixture
def path(tmp_path):
    return tmp_path / "district.db"


@pytest.fixture
def store(path):
    opened = Store(path)
    yield opened
    opened.close()


def telemetry(sequence, body=None, at=AT, follows=None, **changes):
    listed = attributes(sequence, **changes)
    if follows is not None:
        listed.append(("follows", str(follows)))
    gateway = dict(listed)["source"].removeprefix("gengfu:")
    body = pack(density=sequence) if body is None else body
    return Arrival(at, parse(f"gengfu/v1/{gateway}/telemetry", "application/senml+json", listed, body))


def telemetry_gap(sequence, first, last, dropped, **changes):
    return telemetry(sequence, gap(first, last, dropped), type="gengfu.telemetry.gap", **changes)


def alarm(sequence, body=None, previous=ZEROS, at=AT, gateway="demo-01", **changes):
    body = transition() if body is None else body
    listed = chained(attributes(sequence, lane="alarm", gateway=gateway, **changes), body, previous)
    return Arrival(at, parse(f"gengfu/v1/{gateway}/alarm", "application/json", listed, body))


def chain(count, **changes):
    """`count` alarms, each with the digest of the one before."""
    made, previous = [], ZEROS
    for sequence in range(1, count + 1):
        made.append(alarm(sequence, previous=previous, **changes))
        previous = made[-1].what.digest
    return made


def rows(path, query, *arguments):
    """As any reader beside the district would."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return db.execute(query, arguments).fetchall()
    finally:
        db.close()


def test_what_is_receipted_can_be_read(path, store):
    """All columns; times to the millisecond of receipt."""
    outcome = store.commit([*chain(2), telemetry(1)])
    assert outcome.alarms == {"demo-01": ["demo-01/alarm/a01b.7be0/1", "demo-01/alarm/a01b.7be0/2"]}
    assert [tuple(position) for position in outcome.positions] == [("demo-01", "a01b", 1, False)]
    found = rows(
        path,
        "SELECT id, lane, sequence, type, monotonic, boot, clock, durable, received_at, duplicates, flaw FROM record",
    )
    assert found[0] == (
        "demo-01/alarm/a01b.7be0/1", "alarm", 1, "gengfu.alarm.transition", 1.5, BOOT, "trusted", 1, 1795306900.123, 0, None
    )  # fmt: skip
    assert len(found) == 3
    assert rows(path, "SELECT body FROM record WHERE lane = 'alarm' AND sequence = 1") == [(transition(),)]


def test_a_repetition_is_counted_and_receipted_again(path, store):
    """In the same batch and in a later one; the stored record stays as it came first."""
    first = alarm(1, durable="false")
    store.commit([first, first])
    outcome = store.commit([alarm(1, at=AT + 100)])
    assert outcome.alarms == {"demo-01": ["demo-01/alarm/a01b.7be0/1"]}
    assert rows(path, "SELECT duplicates, received_at, durable FROM record") == [(2, 1795306900.123, 1)]
    assert rows(path, "SELECT records, duplicates FROM journal") == [(1, 2)]


def test_a_repeated_telemetry_record_gives_its_position_again(store):
    """The receipt may have been lost."""
    store.commit([telemetry(1), telemetry(2)])
    assert [position.position for position in store.commit([telemetry(1)]).positions] == [2]


def test_an_alarm_with_a_known_id_and_another_content_is_set_aside(path, store):
    """No receipt; the first one stays."""
    store.commit([alarm(1)])
    forged = alarm(1, transition(after="normal"))
    assert store.commit([forged]).alarms == {}
    assert rows(path, "SELECT body FROM record") == [(transition(),)]
    assert rows(path, "SELECT reason FROM rejected") == [("id: stored already with another content",)]
    assert rows(path, "SELECT state FROM alarm_state") == [("unacknowledged",)]


def test_a_pack_encoded_anew_is_set_aside_and_does_not_stop_the_lane(path, store):
    """A new version of a gateway may print floats differently: the number is here."""
    store.commit([telemetry(1)])
    outcome = store.commit([telemetry(1, pack(density=1.0000001)), telemetry(2)])
    assert outcome.positions[0].position == 2
    assert rows(path, "SELECT count(*) FROM rejected") == [(1,)]


def test_a_number_seen_with_two_runs_is_two_records(path, store):
    """Announced before the disk confirmed it, then given to another: both are true."""
    outcome = store.commit(
        [alarm(1, run="aaaa", durable="false"), alarm(1, run="bbbb", body=transition(after="returned"))]
    )
    assert len(outcome.alarms["demo-01"]) == 2
    assert rows(path, "SELECT run FROM record ORDER BY run") == [("aaaa",), ("bbbb",)]
    assert rows(path, "SELECT state FROM alarm_state") == [("returned",)]


def test_holes_are_listed_then_closed(path, store):
    """Open from the batch that noticed them; filled later, with the jump told."""
    store.commit([telemetry(1), telemetry(4, at=AT + 1)])
    assert rows(path, "SELECT gateway, lane, journal, first, last, records FROM lost") == [
        ("demo-01", "telemetry", "a01b", 2, 3, 2)
    ]
    (position,) = store.commit([telemetry(3, at=AT + 2)]).positions
    assert (position.position, position.jumped) == (1, False)
    assert rows(path, "SELECT first, last FROM lost") == [(2, 2)]
    (position,) = store.commit([telemetry(2, at=AT + 3)]).positions
    assert (position.position, position.jumped) == (4, True)
    assert rows(path, "SELECT * FROM lost") == []
    filled = rows(
        path, "SELECT first, last, state, round(noticed_at - ?), round(closed_at - ?) FROM gap ORDER BY first", AT, AT
    )
    assert filled == [(2, 2, "filled", 1, 3), (3, 3, "filled", 1, 2)]


def test_what_came_out_of_order_in_one_batch_was_never_missing(path, store):
    """No trace in the table of gaps."""
    store.commit([telemetry(3), telemetry(1), telemetry(2)])
    assert rows(path, "SELECT * FROM gap") == []
    assert rows(path, "SELECT position FROM journal") == [(3,)]


def test_named_and_passed_numbers_stay_in_the_books(path, store):
    """Nothing goes missing unseen, even when the hole and its name come in one batch."""
    store.commit([telemetry(1), telemetry(5, follows=3), telemetry(6)])
    store.commit([telemetry_gap(7, 2, 3, 2)])
    assert rows(path, "SELECT first, last, state FROM gap ORDER BY first") == [(2, 3, "named"), (4, 4, "passed")]
    assert rows(path, "SELECT position FROM journal") == [(7,)]


def test_a_gap_record_that_comes_twice_counts_once(path, store):
    """Else a thinned range would count as accounted for while one of its records is lost."""
    named = telemetry_gap(7, 1, 6, 2)
    store.commit([telemetry(1), telemetry(2), named])
    store.commit([named])
    assert rows(path, "SELECT position, namings FROM journal") == [(2, "[[1, 6, 2]]")]


def test_a_gap_record_that_says_that_none_was_dropped_names_all_of_it(path, store):
    """A journal begun in memory, with numbers beyond all that an unreadable file may have given: they never were."""
    base = 2**52
    store.commit([alarm(base + 1, gap(1, base, 0, "begun in memory"), type="gengfu.event.gap"), alarm(base + 2)])
    store.commit([telemetry_gap(base + 1, 1, base, 0)])
    assert rows(path, "SELECT * FROM lost") == []
    assert rows(path, "SELECT position FROM journal") == [(base + 2,), (base + 1,)]


def test_a_district_that_lost_its_books_gets_going_again(path, store):
    """The gateway says that nothing before this record waits for a receipt: passed over, and in the books as such."""
    (position,) = store.commit([telemetry(1_001, follows=0)]).positions
    assert (position.position, position.jumped) == (1_001, True)
    assert rows(path, "SELECT first, last, state FROM gap") == [(1, 1_000, "passed")]


def test_gaps_of_the_alarm_lane_are_listed_and_named(path, store):
    """Its records are receipted one by one all the same."""
    outcome = store.commit([alarm(1), alarm(5)])
    assert len(outcome.alarms["demo-01"]) == 2
    assert outcome.positions == []
    assert rows(path, "SELECT lane, first, last FROM lost") == [("alarm", 2, 4)]
    store.commit([alarm(6, gap(2, 4, 3, "fold"), type="gengfu.event.gap")])
    assert rows(path, "SELECT * FROM lost") == []


def test_journals_do_not_mix(path, store):
    """By gateway, lane and journal."""
    store.commit([telemetry(1), telemetry(2, gateway="demo-02"), telemetry(3, journal="beef"), alarm(1)])
    assert rows(path, "SELECT gateway, lane, journal, position FROM journal ORDER BY ordinal") == [
        ("demo-01", "telemetry", "a01b", 1), ("demo-02", "telemetry", "a01b", 0), ("demo-01", "telemetry", "beef", 0),
        ("demo-01", "alarm", "a01b", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_a_sound_chain_is_linked_in_any_order(path, store, order):
    """Once the neighbours are here, every link is judged."""
    made = chain(3)
    for index in order:
        store.commit([made[index]])
    assert rows(path, "SELECT sequence, chain, flaw FROM record ORDER BY sequence") == [
        (1, "linked", None), (2, "linked", None), (3, "linked", None)
    ]  # fmt: skip


def test_a_chain_with_a_missing_record_is_open(path, store):
    """Nothing can be said about it yet."""
    made = chain(3)
    store.commit([made[0], made[2]])
    assert rows(path, "SELECT chain FROM record ORDER BY sequence") == [("linked",), ("open",)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_broken_chain_is_flagged(path, store, order):
    """A record that was exchanged: its own digest is right, the next one does not follow from it."""
    made = [alarm(1, transition(after="normal")), chain(2)[1]]
    for index in order:
        store.commit([made[index]])
    assert rows(path, "SELECT sequence FROM record WHERE chain = 'broken'") == [(2,)]


def test_a_link_to_one_of_two_runs_is_sound(path, store):
    """Whichever of them the next record continues, and whichever comes first."""
    announced = alarm(1, run="aaaa", durable="false")
    kept = alarm(1, run="bbbb")
    after = alarm(2, run="bbbb", previous=kept.what.digest)
    store.commit([announced, after])
    assert rows(path, "SELECT chain FROM record WHERE sequence = 2") == [("broken",)]
    store.commit([kept])
    assert rows(path, "SELECT chain FROM record WHERE sequence = 2") == [("linked",)]


def test_a_wrong_digest_and_a_senseless_body_are_flaws_of_a_stored_record(path, store):
    """An alarm is an alarm: stored, receipted, flagged."""
    good = alarm(1, b"not json")
    listed = [(name, value) for name, value in attributes(2, lane="alarm")] + [
        ("previous", ZEROS),
        ("digest", "0" * 64),
    ]
    bad = Arrival(AT, parse("gengfu/v1/demo-01/alarm", "application/json", listed, b"nor this"))
    assert len(store.commit([good, bad]).alarms["demo-01"]) == 2
    assert rows(path, "SELECT flaw FROM record ORDER BY sequence") == [
        ("body: not JSON",), ("digest: not the one of this record; body: not JSON",)
    ]  # fmt: skip


def test_the_latest_state_of_each_alarm(path, store):
    """By number, not by arrival; a newer journal wins over an older one."""
    store.commit([alarm(3, transition(after="acknowledged")), alarm(2, transition(after="unacknowledged"))])
    assert rows(path, "SELECT state, sequence FROM alarm_state") == [("acknowledged", 3)]
    store.commit([alarm(1, transition(after="returned"), journal="beef")])
    assert rows(path, "SELECT state, text_zh, simulated FROM alarm_state") == [("returned", "火警", 1)]
    store.commit([alarm(4, transition(after="normal"))])
    assert rows(path, "SELECT state FROM alarm_state") == [("returned",)]


def test_the_latest_value_of_each_point(path, store):
    """By number, over batches and within one; a BAD point has no value."""
    store.commit([telemetry(2, pack(density=2, alarm=True)), telemetry(1, pack(density=1, name="x"))])
    assert rows(path, "SELECT point, value, quality FROM value ORDER BY point") == [
        ("demo-01/smoke-1203/alarm", 1, "good"), ("demo-01/smoke-1203/density", 2, "good"), ("demo-01/smoke-1203/name", "x", "good"),
    ]  # fmt: skip
    store.commit([telemetry(3, pack(density="!not_responding"))])
    found = rows(path, "SELECT value, quality FROM value WHERE point LIKE '%density'")
    assert found == [(None, "not_responding")]


def test_untrusted_records_are_dated_by_the_clock_mapping(path, store):
    """Of that boot only, those before it only; in either order of arrival."""
    other = {"boot": "f" * 32, "clock": "untrusted"}
    body = json.dumps({"boot": BOOT, "monotonic": 100.0, "wall": 2_000_000_100.0}).encode()
    store.commit([alarm(1, clock="untrusted", monotonic="10.000000"), alarm(2, body, type="gengfu.event.clock")])
    store.commit([alarm(3, clock="untrusted", monotonic="200.000000"), alarm(4, monotonic="10.000000", **other)])
    found = rows(path, "SELECT sequence, wall, dated_by, time = wall FROM dated ORDER BY sequence")
    assert found[0] == (1, 2_000_000_010.0, "mapping", 0)
    assert [row[2:] for row in found[1:]] == [("gateway", 1), ("nobody", 1), ("nobody", 1)]


def test_status_and_will(path, store):
    """The last one counts."""
    for online in (True, False):
        store.commit([Arrival(AT, Status("demo-01", online, b'{"online": %s}' % str(online).lower().encode()))])
    assert rows(path, "SELECT gateway, online FROM status") == [("demo-01", 0)]


def test_rejected_messages_are_kept_bounded(path, store, monkeypatch):
    """The newest stay, each cut to a bounded size, whatever is in it."""
    monkeypatch.setattr(store_module, "MOST_REJECTED", 5)
    many = [Arrival(AT, Rejected(f"t{n}\ud800", "r", [("k\ud800", "v" * 9_000)], bytes(9_000))) for n in range(12)]
    store.commit(many[:6])
    store.commit(many[6:])
    found = rows(path, "SELECT topic, length(attributes), length(body) FROM rejected ORDER BY number")
    assert [row[0] for row in found] == [f"t{n}?" for n in range(7, 12)]
    assert max(max(row[1:]) for row in found) <= 4_096


def test_a_failed_commit_leaves_nothing_and_can_be_given_again(path, store):
    """Not in the tables, and not in what it remembers of the journals either."""
    store.commit([telemetry(1)])
    store._db.execute("CREATE TRIGGER no_space BEFORE INSERT ON status BEGIN SELECT raise(ABORT, 'disk full'); END")
    batch = [telemetry(2), telemetry(5), alarm(1), Arrival(AT, Status("demo-01", True, b"{}"))]
    with pytest.raises(StoreError, match="disk full"):
        store.commit(batch)
    assert rows(path, "SELECT count(*) FROM record") == [(1,)]
    store._db.execute("DROP TRIGGER no_space")
    outcome = store.commit(batch)
    assert (outcome.positions[0].position, len(outcome.alarms["demo-01"])) == (2, 1)
    assert rows(path, "SELECT first, last FROM lost") == [(3, 4)]


def test_a_reopened_store_goes_on_where_it_was(path):
    """Holes, namings and positions come from the disk."""
    opened = Store(path)
    opened.commit([telemetry(1), telemetry(4), telemetry_gap(9, 2, 8, 4)])
    opened.close()
    opened = Store(path)
    try:
        outcome = opened.commit([telemetry(6)])
        assert outcome.positions[0].position == 1
        assert rows(path, "SELECT first, last FROM lost ORDER BY first") == [(2, 3), (5, 5), (7, 8)]
        assert opened.commit([telemetry(8)]).positions[0].position == 9
    finally:
        opened.close()


def test_journals_out_of_memory_are_read_again(path, store, monkeypatch):
    """Bounded memory changes nothing in the answers."""
    monkeypatch.setattr(journals_module, "MOST_HOLES", 2)
    for number in (1, 3, 2):
        for gateway in ("demo-01", "demo-02", "demo-03"):
            store.commit([telemetry(number, gateway=gateway)])
            assert len(store._journals._known) <= 2
    assert rows(path, "SELECT position FROM journal") == [(3,)] * 3
    assert rows(path, "SELECT count(*) FROM lost") == [(0,)]


def test_the_history_of_gaps_is_bounded(path, store, monkeypatch):
    """Open ones always stay."""
    monkeypatch.setattr(journals_module, "MOST_CLOSED", 3)
    store.commit([telemetry(2)])
    for number in range(4, 40, 2):
        store.commit([telemetry(number, follows=number - 2)])
    assert rows(path, "SELECT count(*) FROM gap WHERE state = 'passed'")[0][0] <= 4
    assert rows(path, "SELECT first, last FROM lost") == [(1, 1)]


def test_one_district_at_a_time(path, store):
    """A second one is refused; a reader is not."""
    with pytest.raises(StoreError, match="another district"):
        Store(path)
    assert rows(path, "SELECT count(*) FROM record") == [(0,)]


@pytest.mark.parametrize("what", ["text", "foreign", "newer", "directory"])
def test_a_file_that_is_no_district_is_refused(path, what):
    """Refused and left as it is, never overwritten."""
    if what == "text":
        path.write_bytes(b"not a database" * 100)
    elif what == "directory":
        path = path / "missing" / "district.db"
    elif what == "foreign":
        apsw.Connection(str(path)).execute("CREATE TABLE mine(x)")
    else:
        Store(path).close()
        apsw.Connection(str(path)).execute("PRAGMA user_version = 2")
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreError):
        Store(path)
    assert (path.read_bytes() if path.exists() else None) == before or what in ("foreign", "newer")


def test_it_is_synchronous_and_in_wal_mode(store):
    """What a receipt promises: FULL."""
    assert store._db.execute("PRAGMA synchronous").get == 2
    assert store._db.execute("PRAGMA journal_mode").get == "wal"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=60),
    st.lists(st.integers(1, 8), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
def test_deliveries_in_any_order_with_repetition_loss_and_crashes(
    tmp_path_factory, numbers, cuts, chance: random.Random
):
    """What is receipted is stored; the position never passes a hole; every hole is listed; a crash changes nothing."""
    path = tmp_path_factory.mktemp("any") / "district.db"
    opened, stored, receipted = Store(path), set(), 0
    try:
        while numbers:
            size = chance.choice(cuts)
            batch, numbers = numbers[:size], numbers[size:]
            outcome = opened.commit([each for number in batch for each in (telemetry(number), alarm(number))])
            stored |= set(batch)
            assert outcome.alarms == {"demo-01": [f"demo-01/alarm/a01b.7be0/{number}" for number in batch]}
            assert outcome.positions[0].position >= receipted
            receipted = outcome.positions[0].position
            assert set(range(1, receipted + 1)) <= stored
            if chance.random() < 0.3:
                opened.close()
                opened = Store(path)
            missing = set(range(1, max(stored))) - stored
            for lane in ("alarm", "telemetry"):
                holes = rows(path, "SELECT first, last FROM lost WHERE lane = ?", lane)
                assert sorted(n for first, last in holes for n in range(first, last + 1)) == sorted(missing)
            assert {row[0] for row in rows(path, "SELECT sequence FROM record WHERE lane = 'alarm'")} == stored
    finally:
        opened.close()
