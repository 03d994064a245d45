"""Requests that only read, and what comes back: nothing else is recognised, and no bytes make it fall."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_reads import IDENTIFY, find_reply, identity, pdu_of, read_only, rtu_frame, tcp_frame
from gateway.errors import BusError

READ = rtu_frame(1, b"\x03\x00\x00\x00\x02")
ANSWER = rtu_frame(1, b"\x03\x04\x00\x15\x00\x00")
IDENTITY = IDENTIFY[:2] + b"\x01\x01\x00\x00\x02" + b"\x00\x03ABC" + b"\x02\x04V1.2"


def test_an_identification_is_framed_and_read():
    """Objects 0 and 2 of the standard: vendor and version; the frame's length is known only as it comes."""
    asked = read_only(rtu_frame(9, IDENTIFY), rtu=True)
    frame = rtu_frame(9, IDENTITY)
    lengths = [asked.exchange.framing(frame[:size]) for size in range(1, len(frame) + 1)]
    assert all(size < length for size, length in zip(range(1, len(frame)), lengths, strict=False))
    assert lengths[-1] == len(frame)
    assert identity(pdu_of(asked.exchange.request, frame, rtu=True)) == {"vendor": "ABC", "version": "V1.2"}


def test_an_answer_is_found_behind_an_echo_and_noise():
    """And the second one behind it, which two devices on one address make."""
    heard = READ + b"\x00\xff" + ANSWER + ANSWER
    first, end = find_reply(READ, heard)
    assert first == ANSWER
    assert find_reply(READ, heard[end:]) == (ANSWER, len(ANSWER))
    assert find_reply(READ, READ) is None


@pytest.mark.parametrize("function", [*range(5, 43), *range(44, 128)])
def test_no_other_function_is_a_read(function):
    """In either framing, whatever its length."""
    for rest in (b"", b"\x00\x00\x00\x01", b"\x0e\x01\x00", b"\x00\x00\x00\x01\x02\x00\x01"):
        assert read_only(rtu_frame(1, bytes((function,)) + rest), rtu=True) is None
        assert read_only(tcp_frame(1, 1, bytes((function,)) + rest), rtu=False) is None


@given(st.binary(max_size=40), st.booleans())
def test_any_bytes_are_a_read_or_none(data, rtu):
    found = read_only(data, rtu=rtu)
    assert found is None or 1 <= found.unit <= 255


@given(st.binary(min_size=1, max_size=80))
def test_any_reply_is_framed_or_refused(data):
    for request in (READ, rtu_frame(1, IDENTIFY)):
        asked = read_only(request, rtu=True)
        with contextlib.suppress(BusError):
            assert 1 <= asked.exchange.framing(data) <= 260
        with contextlib.suppress(BusError):
            pdu_of(request, data, rtu=True)
        find_reply(request, data)
    identity(data)
