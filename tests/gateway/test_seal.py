"""Any change of any field breaks the seal; the chain is what docs/payloads.md says."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Draft, Lane
from gateway.store.seal import ZERO, Scribe, crc_of, digest_of, seal, sound

SCRIBE = Scribe("demo-01", Lane.ALARM, "3f9a2c11", "7be07be0", "ab" * 16)


def made(body=b"{}", lane=Lane.ALARM, previous=ZERO):
    draft = Draft("gengfu.event.test", 12.3456789, body)
    return seal(SCRIBE._replace(lane=lane), draft, 57, 1_700_000_000.1234567, True, previous)


def test_the_digest_is_computed_as_the_receiver_is_told_to():
    """SHA-256 over 32 raw bytes and the lines, times with six decimals."""
    record = made(b'{"a":1}')
    lines = [
        b"demo-01/alarm/3f9a2c11.7be07be0/57", b"gengfu.event.test", b"ab" * 16, b"12.345679", b"1700000000.123457", b"1",
        b'{"a":1}',
    ]  # fmt: skip
    assert record.digest == sha256(bytes(32) + b"\n".join(lines)).hexdigest()
    assert (record.at, record.wall) == (12.345679, 1700000000.123457)


def test_telemetry_has_a_crc_and_no_chain():
    """Previous and digest stay empty."""
    record = made(lane=Lane.TELEMETRY)
    assert (record.previous, record.digest) == ("", "")
    assert sound("demo-01", record)


def test_a_wall_time_before_1970_is_1970():
    """The payload reference knows no earlier time, and the chain must be computable from it."""
    assert seal(SCRIBE, Draft("k", 0.0, b""), 1, -5.0, False, ZERO).wall == 0.0


def test_a_kind_is_one_line():
    """Else two records could have the same canonical bytes."""
    with pytest.raises(ValueError, match="one line"):
        seal(SCRIBE, Draft("a\nb", 0.0, b""), 1, 0.0, False, ZERO)


CHANGES = {
    "lane": Lane.TELEMETRY, "journal": "3f9a2c12", "run": "7be07be1", "sequence": 58, "kind": "gengfu.event.tesu",
    "boot": "ab" * 15 + "ac", "at": 12.34568, "wall": 1.0, "trusted": False, "body": b"{} ", "crc": 1,
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_field_breaks_the_seal(field):
    """Each field on its own."""
    assert sound("demo-01", made())
    assert not sound("demo-01", replace(made(), **{field: CHANGES[field]}))


@pytest.mark.parametrize(("field", "value"), [("previous", "11" * 32), ("digest", "11" * 32)])
def test_a_changed_link_breaks_the_seal_of_an_alarm(field, value):
    """The digest covers the record before."""
    assert not sound("demo-01", replace(made(), **{field: value}))


def test_another_gateways_record_is_not_ours():
    """The gateway is in the id that the digest covers."""
    assert not sound("demo-02", made())


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_flipped_bit_of_the_body_is_seen(body, data):
    """CRC-32 sees every single flip."""
    record = made(body, Lane.TELEMETRY)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    flipped = bytearray(body)
    flipped[bit // 8] ^= 1 << bit % 8
    assert crc_of(replace(record, body=bytes(flipped))) != record.crc


def test_durable_is_no_part_of_the_record():
    """It says where the record is, not what it is."""
    record = made()
    assert crc_of(replace(record, durable=False)) == record.crc
    assert digest_of("demo-01", replace(record, durable=False)) == record.digest
