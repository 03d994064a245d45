"""The envelope: what docs/payloads.md describes passes, everything else is refused with its reason."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from district import record
from district.record import Malformed, parse, parse_status
from tests.district.messages import ZEROS, attributes, chained, transition

TOPIC = "gengfu/v1/demo-01/telemetry"
ALARM_TOPIC = "gengfu/v1/demo-01/alarm"
SENML = "application/senml+json"


def changed(changes):
    """The attributes of a good record, some replaced, left out (None) or added."""
    given = dict(attributes()) | changes
    return [(name, value) for name, value in given.items() if value is not None]


def telemetry(**changes):
    return parse(TOPIC, SENML, changed(changes), b"[]")


def alarm(body=b"{}", previous=ZEROS, **changes):
    listed = chained(attributes(lane="alarm", **changes), body, previous)
    return parse(ALARM_TOPIC, "application/json", listed, body)


def test_a_telemetry_record_is_what_its_attributes_say():
    """Every field; unknown attributes are passed over."""
    made = parse(TOPIC, SENML, [*attributes(57), ("follows", "55"), ("new", "x")], b"[]")
    assert (made.gateway, made.lane, made.journal, made.run, made.sequence) == (
        "demo-01",
        "telemetry",
        "a01b",
        "7be0",
        57,
    )
    assert made.id == "demo-01/telemetry/a01b.7be0/57"
    assert made.follows == 55
    assert made.trusted
    assert made.durable
    assert (made.previous, made.digest) == ("", "")


def test_an_alarm_record_has_its_chain():
    """And no `follows`, even if somebody sends one."""
    made = parse(ALARM_TOPIC, "application/json", [*chained(attributes(lane="alarm"), b"{}"), ("follows", "x")], b"{}")
    assert made.previous == ZEROS
    assert record.digest_holds(made)
    assert made.follows is None


@pytest.mark.parametrize(
    ("time", "microseconds"),
    [
        ("1970-01-01T00:00:00.000001Z", 1),
        ("2038-01-19T03:14:08.999999Z", 2_147_483_648_999_999),
        ("1969-12-31T23:59:59.999999Z", -1),
    ],
)
def test_times_are_exact_to_the_microsecond(time, microseconds):
    """No float in between: the digest is over these digits."""
    assert telemetry(time=time).time_us == microseconds


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{ }"}, {"time_us": 5}, {"monotonic": "1.500001"}, {"trusted": False}, {"type": "gengfu.event.run"},
        {"boot": "f" * 32}, {"previous": "1" * 64}, {"id": "x"},
    ],
)  # fmt: skip
def test_any_change_breaks_the_digest(change):
    """All fields that the chain protects."""
    from dataclasses import replace

    made = alarm()
    assert record.digest_holds(made)
    assert not record.digest_holds(replace(made, **change))


@pytest.mark.parametrize("name", [name for name, _ in attributes()])
def test_each_attribute_is_required(name):
    """The reason names it."""
    with pytest.raises(Malformed, match=f"^{name}: missing"):
        telemetry(**{name: None})


@pytest.mark.parametrize("name", ["previous", "digest"])
def test_alarms_need_their_chain(name):
    """Without it there is no proof."""
    listed = [pair for pair in chained(attributes(lane="alarm"), b"{}") if pair[0] != name]
    with pytest.raises(Malformed, match=f"^{name}: missing"):
        parse(ALARM_TOPIC, "application/json", listed, b"{}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"specversion": "2.0"}, "specversion"),
        ({"sequence": "0"}, "sequence"),
        ({"sequence": "01"}, "sequence"),
        ({"sequence": "-1"}, "sequence"),
        ({"sequence": "1" * 19}, "sequence"),
        ({"sequence": "١"}, "sequence"),
        ({"sequence": "2"}, "id"),
        ({"run": "beef"}, "id"),
        ({"journal": "beef"}, "id"),
        ({"id": "demo-02/telemetry/a01b.7be0/1"}, "id"),
        ({"source": "gengfu:demo-02"}, "lane or source"),
        ({"lane": "alarm"}, "lane or source"),
        ({"type": "gengfu.alarm.transition"}, "type"),
        ({"type": "other.telemetry.pack"}, "type"),
        ({"time": "2026-13-01T00:00:00.000000Z"}, "time"),
        ({"time": "2026-01-01T00:00:00Z"}, "time"),
        ({"time": "2026-01-01T00:00:00.000000+08:00"}, "time"),
        ({"boot": "A" * 32}, "boot"),
        ({"monotonic": "1.5"}, "monotonic"),
        ({"monotonic": "-1.000000"}, "monotonic"),
        ({"clock": "maybe"}, "clock"),
        ({"durable": "True"}, "durable"),
        ({"id": "x" * 600}, "id: not as"),
        ({"follows": "1"}, "follows"),
        ({"follows": "-1"}, "follows"),
        ({"journal": "a\n"}, "journal"),
    ],
)
def test_what_is_not_as_described_is_refused(changes, reason):
    """With the attribute's name as the reason."""
    with pytest.raises(Malformed, match=f"^{reason}"):
        telemetry(**changes)


@pytest.mark.parametrize(
    ("topic", "content_type", "listed", "body", "reason"),
    [
        ("gengfu/v1/demo-01/receipt", SENML, attributes(), b"", "topic"),
        ("gengfu/v1/demo-01/status", SENML, attributes(), b"", "topic: no records"),
        ("gengfu/v2/demo-01/telemetry", SENML, attributes(), b"", "topic"),
        ("gengfu/v1/a b/telemetry", SENML, attributes(), b"", "topic"),
        ("gengfu/v1/demo-02/telemetry", SENML, attributes(), b"", "lane or source"),
        (ALARM_TOPIC, SENML, attributes(), b"", "previous"),
        (TOPIC, "", attributes(), b"", "content type"),
        (TOPIC, "x" * 200, attributes(), b"", "content type"),
        (TOPIC, SENML, [*attributes(), ("id", "demo-01/telemetry/a01b.7be0/1")], b"", "attributes: one"),
        (TOPIC, SENML, [*attributes(), *((f"x{n}", "") for n in range(64))], b"", "attributes: too many"),
        (TOPIC, SENML, attributes(), bytes(256 * 1024 + 1), "body: too large"),
    ],
)
def test_messages_that_are_no_records(topic, content_type, listed, body, reason):
    """Wrong place, twice the same, too much of it."""
    with pytest.raises(Malformed, match=f"^{reason}"):
        parse(topic, content_type, listed, body)


def test_status_and_will():
    """`online` is all that must be there."""
    status = parse_status("gengfu/v1/demo-01/status", b'{"online": false}')
    assert (status.gateway, status.online) == ("demo-01", False)


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        (TOPIC, b'{"online": true}'), ("gengfu/v1/demo-01/status", b""), ("gengfu/v1/demo-01/status", b"[]"),
        ("gengfu/v1/demo-01/status", b'{"online": 1}'), ("gengfu/v1/demo-01/status", b'{"online": NaN}'),
        ("gengfu/v1/demo-01/status", b"\xff"), ("gengfu/v1/demo-01/status", b"[" * 200_000),
        ("gengfu/v1/demo-01/status", b'{"online": ' + b"1" * 5_000 + b"}"), ("gengfu/v1/demo-01/status", bytes(300_000)),
    ],
)  # fmt: skip
def test_what_is_no_status(topic, body):
    """Malformed, never another exception."""
    with pytest.raises(Malformed):
        parse_status(topic, body)


texts = st.text(max_size=20)


@given(
    st.sampled_from([TOPIC, ALARM_TOPIC]) | texts,
    st.just(SENML) | texts,
    st.dictionaries(st.sampled_from([name for name, _ in attributes()]), texts | st.none(), max_size=3),
    st.lists(st.tuples(texts, texts), max_size=3),
    st.binary(max_size=50),
)
def test_nothing_but_malformed_escapes(topic, content_type, changes, more, body):
    """Anything in any place."""
    for listed in (changed(changes), changed(changes) + more, more):
        with contextlib.suppress(Malformed):
            made = parse(topic, content_type, chained(attributes(lane="alarm"), b"")[-2:] + listed, body)
            made.id.encode()
            if made.lane == "alarm":
                record.digest_holds(made)


@given(st.binary(max_size=200) | st.just(transition()))
def test_any_body_is_json_or_malformed(body):
    """The reader of bodies."""
    with contextlib.suppress(Malformed):
        record.json_value(body)
