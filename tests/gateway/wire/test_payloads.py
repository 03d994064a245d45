"""Messages: attributes that the district can check, receipts that nobody can abuse, and the page that says it all."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeliveryError
from gateway.model import Action, Command, Kind, Lane, Record, Text
from gateway.wire import kinds, pack, payloads
from tests.gateway.wire.test_pack import layout_of, scan_of

ROOT = Path(__file__).parents[3]


def record_of(lane=Lane.ALARM, kind=payloads.RUN, body=b"{}", wall=1795306831.125, at=1234.56789, **more):
    fields = {"journal": "3f9a2c11", "run": "7be0", "sequence": 57, "boot": "b" * 32, "trusted": True, "crc": 0}
    return Record(lane=lane, kind=kind, at=at, wall=wall, body=body, **{**fields, **more})


def test_the_page_is_generated():
    """docs/payloads.md is what the tables say, byte for byte; `make reference` writes it anew."""
    assert (ROOT / "docs" / "payloads.md").read_text() == payloads.reference()


def test_every_attribute_that_is_sent_is_in_the_reference():
    """And the other way round."""
    alarm = payloads.encode(record_of(previous="0" * 64, digest="1" * 64), "demo-01", {})
    pack_ = payloads.encode(record_of(Lane.TELEMETRY, payloads.TELEMETRY_GAP), "demo-01", {}, follows=55)
    sent = {name for name, _ in (*alarm.properties, *pack_.properties)}
    assert sent == {name for row in kinds.ATTRIBUTES for name in row.name.split(", ")}


def test_a_record_says_who_what_when_in_which_order():
    """The example values of the reference."""
    message = payloads.encode(record_of(previous="0" * 64, digest="1" * 64, durable=False), "demo-01", {})
    assert message.topic == "gengfu/v1/demo-01/alarm"
    assert message.content_type == "application/json"
    assert dict(message.properties) == {
        "specversion": "1.0",
        "id": "demo-01/alarm/3f9a2c11.7be0/57",
        "source": "gengfu:demo-01",
        "type": "gengfu.event.run",
        "time": "2026-11-22T00:20:31.125000Z",
        "lane": "alarm",
        "journal": "3f9a2c11",
        "run": "7be0",
        "sequence": "57",
        "boot": "b" * 32,
        "monotonic": "1234.567890",
        "clock": "trusted",
        "durable": "false",
        "previous": "0" * 64,
        "digest": "1" * 64,
    }


@given(st.floats(0, 4e9), st.floats(0, 1e8), st.binary(max_size=20))
def test_the_hash_chain_can_be_checked_from_the_message_alone(wall, at, body):
    """The district rebuilds exactly the digits that the digest was made from, for any time."""
    from datetime import datetime

    name = "demo-01/alarm/3f9a2c11.7be0/57"
    lines = [name.encode(), b"gengfu.event.run", b"b" * 32, b"%.6f" % at, b"%.6f" % wall, b"1", body]
    digest = sha256(bytes(32) + b"\n".join(lines)).hexdigest()
    message = payloads.encode(record_of(wall=wall, at=at, body=body, previous="0" * 64, digest=digest), "demo-01", {})
    told = dict(message.properties)
    moment = datetime.fromisoformat(told["time"])
    unix = f"{int(moment.replace(microsecond=0).timestamp())}.{moment.microsecond:06d}"
    again = [told["id"], told["type"], told["boot"], told["monotonic"], unix, "1"]
    rebuilt = sha256(bytes.fromhex(told["previous"]) + "\n".join(again).encode() + b"\n" + message.body)
    assert rebuilt.hexdigest() == told["digest"]


def test_a_pack_becomes_senml_at_its_own_time():
    """The scan's wall time is the record's, moved by the monotonic distance."""
    layout = layout_of(Kind.FLOAT)
    body = pack.encode([(layout, scan_of(layout, [1.0], at=98.0), None)])
    record = record_of(Lane.TELEMETRY, payloads.PACK, body, wall=1_000_000.0, at=100.0)
    message = payloads.encode(record, "g", {layout.id: layout}, follows=56)
    assert message.topic == "gengfu/v1/g/telemetry"
    assert message.content_type == "application/senml+json"
    assert json.loads(message.body)[0]["bt"] == 999_998.0
    assert dict(message.properties)["follows"] == "56"
    assert "digest" not in dict(message.properties)
    assert message.size() > len(message.body)


def test_a_pack_that_cannot_be_read_is_no_message():
    """The uplink sets it aside: a DeliveryError that is not to be retried."""
    with pytest.raises(DeliveryError) as caught:
        payloads.encode(record_of(Lane.TELEMETRY, payloads.PACK, b"rubbish"), "g", {})
    assert not caught.value.retry


def test_times_before_1970_and_on_whole_seconds_are_said():
    """A wrong clock gives a label, never an error."""
    assert payloads.iso(-5.0) == "1970-01-01T00:00:00.000000Z"
    assert payloads.iso(1.9999999) == "1970-01-01T00:00:02.000000Z"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (payloads.RUN, payloads.run("0.1.0", None, ["fire-1203"], [], None)),
        (payloads.CLOCK, payloads.clock("b", 1.5, 2.5)),
        (payloads.COMMAND, payloads.command(Command(Action.RESET, "a", "w", 1.0), Text("未锁存", "not latched"))),
        (payloads.EVENT_GAP, payloads.gap(1, 3, 2, "quota")),
        (payloads.TELEMETRY_GAP, payloads.gap(1, 3, 2, "quota")),
    ],
)
def test_event_bodies_have_the_fields_of_the_reference(kind, body):
    """Those, in that order, and no other."""
    [declared] = [row for row in kinds.KINDS if row.type == kind]
    assert list(json.loads(body)) == [field.name for field in declared.fields]


def test_the_transitions_fields_are_those_of_the_example():
    """The table and the example cannot drift apart."""
    [declared] = [row for row in kinds.KINDS if row.type == payloads.TRANSITION]
    assert list(json.loads(kinds.TRANSITION_EXAMPLE)) == [field.name for field in declared.fields]


def test_the_status_has_the_fields_of_the_example():
    """Birth and will are the same but for `online`."""
    message = payloads.status("g", online=True, version="0.1.0", boot="b", run="r", since=1795306800.9, simulated=True)
    assert message.topic == "gengfu/v1/g/status"
    assert list(json.loads(message.body)) == list(json.loads(kinds.STATUS_EXAMPLE))
    assert json.loads(message.body)["since"] == "2026-11-22T00:20:00Z"


def test_the_receipt_of_the_reference_is_read():
    """Either key may be missing."""
    receipt = payloads.read_receipt(kinds.RECEIPT_EXAMPLE.encode())
    assert receipt == (("demo-01/alarm/3f9a2c11.7be0/57",), "a01b44cd", 1234)
    assert payloads.read_receipt(b"{}") == ((), "", 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"null", b"[]", b"\xff\xfe", b"{", b"[" * 60000, b'{"alarms": "x"}', b'{"alarms": [1]}', b'{"telemetry": []}',
        b'{"telemetry": {"journal": "a"}}', b'{"telemetry": {"journal": "a", "position": true}}',
        b'{"telemetry": {"journal": "a", "position": -1}}', b'{"telemetry": {"journal": "a", "position": 1e3}}',
        b'{"telemetry": {"journal": "a", "position": 9223372036854775808}}',
        b'{"telemetry": {"journal": "a", "position": ' + b"9" * 5000 + b"}}",
        b'{"telemetry": {"journal": 7, "position": 1}}', b'{"alarms": [' + b'"",' * 10001 + b'""]}',
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_refused(payload):
    """Garbage, depth, wrong types, huge numbers: one clean error."""
    with pytest.raises(payloads.ReceiptError):
        payloads.read_receipt(payload)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_receipt_or_refused(payload):
    """Nothing that arrives can do more than raise ReceiptError."""
    try:
        payloads.read_receipt(payload)
    except payloads.ReceiptError:
        return
    assert payload.strip().startswith(b"{")
