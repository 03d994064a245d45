"""GB/T 26875.3 frames: the shared vectors both ways, what is refused and why, what is read in spite of itself."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import gb26875, gb26875_stream, gb26875_unit
from drivers.gb26875 import FrameError, Reason, decode, encode, fault
from drivers.gb26875_dialect import DIALECTS, STANDARD
from drivers.gb26875_message import Message
from drivers.gb26875_stream import Stream
from drivers.gb26875_tables import COMPONENT_BITS, bits_set
from drivers.gb26875_unit import SHAPES, Object, Unit, described, words

VECTORS = {
    one["id"]: one for one in json.loads((Path(__file__).parent / "gb26875_vectors.json").read_text(encoding="utf-8"))
}
VALID = [one for one in VECTORS.values() if one["kind"] == "valid"]
BAD = [one for one in VECTORS.values() if one["kind"] != "valid"]
REASONS = {
    "bad_checksum": "checksum",
    "bad_tail": "tail",
    "bad_command": "command",
    "bad_length": "length",
    "truncated": "truncated",
}


def raw(name):
    return bytes.fromhex(VECTORS[name]["hex"])


V01 = raw("V01")
ids = {"ids": lambda one: one["id"]}


def frame(data=b"", command=2, length=None, version=b"\1\1", time="203a091a090c", serial=1):
    """A frame by the description, not by the codec."""
    body = serial.to_bytes(2, "little") + version + bytes.fromhex(time) + bytes.fromhex("790300000000385b01000000")
    body += (len(data) if length is None else length).to_bytes(2, "little") + bytes([command]) + data
    return b"@@" + body + bytes([sum(body) % 256]) + b"##"


COMPONENT = V01[27 + 2 : -3]
"""The one object of V01, 46 bytes."""


@pytest.mark.parametrize("vector", VALID, **ids)
def test_a_valid_vector_is_read_and_written_back_byte_for_byte(vector):
    """Each valid shared frame, under its dialect; header fields as the vector states them; nothing to warn of but
    the heart-beat, which the standard does not know."""
    data, dialect = bytes.fromhex(vector["hex"]), DIALECTS[vector["dialect"]]
    message = decode(data, dialect)
    assert encode(message, dialect) == data
    assert message.serial == vector["serial"]
    assert list(message.version) == vector["version"]
    assert message.command == vector["command"]
    assert message.time.hex() == vector["time_raw"]
    assert message.source.hex() == vector["src_raw"]
    assert (message.unit.type if message.unit else None) == vector.get("type_flag")
    assert dialect.time(message.time) is not None
    assert len(message.warnings) == (vector["id"] == "V44")


@pytest.mark.parametrize("vector", BAD, **ids)
def test_a_bad_vector_is_refused_with_its_reason(vector):
    """The shared negative frames."""
    with pytest.raises(FrameError) as refused:
        decode(bytes.fromhex(vector["hex"]), DIALECTS[vector["dialect"]])
    assert refused.value.reason == REASONS[vector["kind"]]


def test_a_smoke_detectors_fire_is_read_to_the_last_field():
    """V01 by its printed meaning."""
    (one,) = decode(V01).unit.objects
    assert (one.system, one.address, one.component) == (1, 1, 40)
    assert one.component_address.to_bytes(4, "little") == bytes.fromhex("0a000200")
    assert bits_set(one.state, COMPONENT_BITS)["fire"]
    assert words(one.description) == " " * 30
    assert STANDARD.time(one.time) == datetime(2012, 9, 26, 9, 58, 2)


def test_a_message_made_from_values_is_the_published_frame():
    """V01 written from its meaning, not from its bytes; the description fills its field with spaces there."""
    one = Object(system=1, address=1, component=40, component_address=0x2000A, state=2)
    one = replace(described(one, " " * 30), time=STANDARD.time_tag(datetime(2012, 9, 26, 9, 58, 2)))
    message = Message(
        serial=1,
        version=(1, 1),
        time=STANDARD.time_tag(datetime(2012, 9, 26, 9, 58, 32)),
        source=STANDARD.address_bytes(889),
        destination=STANDARD.address_bytes(88888),
        command=2,
        unit=Unit(2, 1, (one,)),
    )
    assert encode(message) == V01


@pytest.mark.parametrize("bit_0", [0, 1])
@pytest.mark.parametrize("name", ["standard", "dahua-1.03", "dgiot", "heartbeat"])
def test_bit_0_changes_no_other_bit(name, bit_0):
    """Fire is fire in test and in normal operation, under every dialect and in each kind of state."""
    dialect = DIALECTS[name]
    for kind in (1, 2, 21):
        bits = bits_set(0b110 | bit_0, dialect.bits(kind))
        assert bits["fire"]
        assert bits["fault"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"@", "truncated"),
        (V01[:20], "truncated"),
        (V01[:27], "truncated"),
        (V01[:-1], "truncated"),
        (b"#" + V01[1:], "start"),
        (frame(length=1025), "length"),
        (frame(bytes(1025)), "length"),
        (frame(length=0xFFFF), "length"),
        (frame(COMPONENT, length=49), "length"),
        (frame(COMPONENT, length=40), "length"),
        (V01[:29] + b" " + V01[29:], "length"),
        (V01[:40] + V01[41:], "truncated"),
        (V01[:-3] + bytes([V01[-3] ^ 1]) + V01[-2:], "checksum"),
        (V01[:-1] + b"\x13", "tail"),
        (frame(command=0), "command"),
        (frame(command=7), "command"),
        (frame(command=127), "command"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
def test_each_kind_of_damage_has_one_reason(data, reason):
    """A length that lies (the frame holds with its true one) is told from a frame that was cut."""
    with pytest.raises(FrameError) as refused:
        decode(data)
    assert refused.value.reason == reason
    assert refused.value.text.zh
    assert refused.value.text.en


@given(st.integers(0, len(V01) - 1), st.integers(1, 255))
def test_no_single_damaged_byte_is_taken(at, change):
    """The sum is of all bytes between the marks, so one wrong byte is always found."""
    data = bytearray(V01)
    data[at] ^= change
    with pytest.raises(FrameError):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (frame(V01[27:-3], version=b"\2\1"), "main version 2"),
        (frame(V01[27:-3], command=4), "type 2 under command 4"),
        (frame(bytes.fromhex("5b010a"), command=4), "type 91 under command 4"),
        (frame(bytes.fromhex("150108023a091a090c"), command=1), "type 21 under command 1"),
        (frame(V01[27:-3], time="ffffffffffff"), "time of the frame is none"),
        (frame(b"\2\2" + COMPONENT), "2 objects declared, 1 complete"),
        (frame(b"\2\0" + COMPONENT), "object count 0"),
        (frame(b"\2\1" + COMPONENT + b"rest"), "4 bytes after the last object: 72 65 73 74"),
        (frame(b"\2\1" + COMPONENT[:-6]), "objects without time tag"),
        (frame(b"\2\1" + COMPONENT[:12]), "1 objects declared, 0 complete"),
        (frame(b"\2\1" + COMPONENT[:8] + b"\x80" + COMPONENT[9:]), "sets reserved bits: 0x8000"),
        (frame(b"\2\1" + COMPONENT[:9] + b"\xff" * 31 + COMPONENT[-6:]), "is not GB18030"),
        (frame(bytes.fromhex("550101"), command=4), "reserved byte"),
        (frame(bytes.fromhex("03010b015c0700000063c00d051e0e150b1a")), "analogue type 99 not known"),
        (frame(b"\x09\x01abc"), "type 9 is reserved"),
        (frame(b"\xc8\x01abc"), "type 200 is the vendor's own"),
        (frame(command=200), "command 200 is the vendor's own"),
        (frame(b"\1"), "one byte of data"),
        (frame(), "heart-beat"),
        (frame(V01[27:-3], command=3), "confirmation or denial carries data"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
def test_a_frame_that_contradicts_itself_is_read_with_a_warning(data, told):
    """And written back byte for byte all the same."""
    message = decode(data)
    assert any(told in warning.en for warning in message.warnings), message.warnings
    assert all(warning.zh for warning in message.warnings)
    assert encode(message) == data


@pytest.mark.parametrize("cut", range(9, 46))
def test_a_fire_is_read_from_an_object_that_is_cut_behind_its_state(cut):
    """Description and time may be missing in part; the state was there."""
    (one,) = decode(frame(b"\2\1" + COMPONENT[:cut])).unit.objects
    assert bits_set(one.state, COMPONENT_BITS)["fire"]


def test_a_fire_under_a_wrong_count_is_read():
    """Count 0 with an object in the data: the object counts."""
    assert decode(frame(b"\2\0" + COMPONENT)).unit.objects[0].state == 2


def test_texts_end_at_their_first_nul():
    """Devices leave stale bytes behind it; they are kept for the way back."""
    text = "主楼12层烟感".encode("gb18030")
    field = (text + b"\0stale").ljust(31, b"x")
    data = frame(b"\2\1" + COMPONENT[:9] + field + COMPONENT[-6:])
    message = decode(data)
    assert words(message.unit.objects[0].description) == "主楼12层烟感"
    assert message.warnings == ()
    assert encode(message) == data


def test_a_long_description_is_cut_at_a_whole_character():
    """31 bytes hold 15 Chinese characters."""
    assert words(described(Object(), "烟" * 20).description) == "烟" * 15


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_every_type_takes_its_most_objects_within_the_longest_frame(kind):
    """Tables 3: as many as the table allows fit 1024 bytes (short texts), are read without a warning and written back."""
    shape = SHAPES[kind]
    one = b"".join(
        {"time": bytes.fromhex("023a091a090c"), "reserved": b"\0", "text": b"\4abcd", "analogue": b"\5"}.get(
            name, b"\1" * size
        )
        for name, size in shape.fields
    )
    data = frame(bytes([kind, shape.most]) + one * shape.most, command=shape.commands[0])
    message = decode(data)
    assert len(message.unit.objects) == shape.most
    assert message.warnings == ()
    assert encode(message) == data


@given(st.binary(min_size=2, max_size=200))
def test_any_unit_is_read_and_written_back(data):
    """Whatever the data of a frame are."""
    unit, _ = gb26875_unit.decode(data)
    assert gb26875_unit.encode(unit) == data


@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 255), st.binary(max_size=400), st.sampled_from(sorted(DIALECTS)))
def test_any_sound_frame_is_read_and_written_back(kind, count, rest, name):
    """Under every dialect."""
    data = frame(bytes([kind, count]) + rest)
    assert encode(decode(data, DIALECTS[name]), DIALECTS[name]) == data


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_times_and_addresses_go_there_and_back(name):
    """Under every dialect."""
    dialect = DIALECTS[name]
    local = datetime(2026, 11, 22, 23, 59, 58)
    assert dialect.time(dialect.time_tag(local)) == local
    for address in (bytes(6), bytes.fromhex("123456789012"), b"\xff" * 6):
        assert dialect.address_bytes(dialect.address(address)) == address


def test_dialects_write_addresses_their_own_way():
    """A number low byte first, digits as printed, IPv4 with port."""
    assert STANDARD.address(raw("V01")[12:18]) == 889
    assert DIALECTS["dahua-1.03"].address(raw("V29")[12:18]) == "123456789012"
    assert DIALECTS["dgiot"].address(raw("V24")[18:24]) == "192.168.1.4:27933"


@pytest.mark.parametrize(
    ("name", "address"), [("standard", 2**48), ("standard", -1), ("dahua-1.03", "12"), ("dgiot", "x")]
)
def test_an_address_that_does_not_fit_is_refused(name, address):
    """ValueError, whatever is wrong."""
    with pytest.raises(ValueError):
        DIALECTS[name].address_bytes(address)


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": Unit(2, 1, (Object(state=70000),))},
        {"unit": Unit(9, 1, (Object(state=1),))},
        {"unit": Unit(2, 1, (), bytes(1023))},
        {"unit": Unit(2, 1, (Object(time=b"12345"),))},
        {"serial": 65536},
        {"version": (1, 256)},
        {"command": 256},
        {"source": b"12345"},
    ],
)
def test_a_message_that_no_frame_can_hold_is_not_written(changes):
    """ValueError, never a wrong frame."""
    with pytest.raises(ValueError):
        encode(replace(decode(V01), **changes))


def test_a_dialects_limits_are_its_own():
    """Dahua's 512 bytes; its registration and keep-alive are unknown commands to the standard."""
    with pytest.raises(FrameError) as refused:
        decode(frame(bytes(513)), DIALECTS["dahua-1.03"])
    assert refused.value.reason is Reason.LENGTH
    for name in ("V34", "V35"):
        with pytest.raises(FrameError) as refused:
            decode(raw(name))
        assert refused.value.reason is Reason.COMMAND


# --- streams


def told(pieces):
    """What a stream gave: serials of frames, reasons of what was skipped."""
    return [piece.message.serial if piece.message else piece.error.reason.value for piece in pieces]


@pytest.mark.parametrize("at", range(1, len(V01)))
def test_a_frame_may_be_split_anywhere(at):
    """Two reads, one frame."""
    stream = Stream()
    assert told(stream.feed(V01[:at]) + stream.feed(V01[at:])) == [1]
    assert stream.incomplete_bytes == 0


def test_frames_in_one_read_come_in_order():
    """V01 and its confirmation."""
    assert [piece.data for piece in Stream().feed(V01 + raw("V02"))] == [V01, raw("V02")]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (b"garbage", "start"),
        (b"@", "length"),  # the marks overlap: read one byte too early it has an impossible length
        (b"x@@@", "start"),
        (V01[:-1] + b"!", "tail"),
        (V01[:-3] + b"\0##", "checksum"),
        (frame(length=0xFFFF), "length"),
        (frame(b"\2\1" + V01, command=9), "command"),
        (frame(length=0xFFFF) + b"noise" + V01[:30], "length"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
def test_a_sound_frame_behind_anything_is_found(before, reason):
    """And what was skipped is told with the first reason; a whole frame inside an unknown command is not taken."""
    stream = Stream()
    pieces = stream.feed(before + V01 + V01) + stream.give_up()
    assert told(pieces) == [reason, 1, 1]
    assert b"".join(piece.data for piece in pieces) == before + V01 + V01


def test_marks_inside_a_frame_mean_nothing():
    """Serial 4040, text of both marks: framing is by length only."""
    field = b"@@##@@##".ljust(31, b"#")
    data = frame(b"\2\1" + COMPONENT[:9] + field + COMPONENT[-6:], serial=0x4040)
    stream = Stream()
    pieces = [piece for byte in data + V01 for piece in stream.feed(bytes([byte]))]
    assert told(pieces) == [0x4040, 1]


def test_a_length_that_lies_within_the_limit_is_given_up():
    """It waits for bytes that never come; then the frame behind it is found."""
    stream = Stream()
    assert stream.feed(frame(length=1000) + V01) == []
    assert told(stream.give_up()) == ["truncated", 1]
    assert stream.incomplete_bytes == 0


@given(
    st.lists(
        st.sampled_from([V01, raw("V02"), b"@", b"@@", b"##", bytes(30), frame(length=1000), V01[:50]]), max_size=12
    )
)
def test_nothing_is_lost_and_little_is_kept(parts):
    """However it comes: the pieces joined are the bytes, and less than one longest frame waits."""
    stream, got = Stream(), []
    for part in parts:
        for at in range(0, len(part), 7):
            got += stream.feed(part[at : at + 7])
            assert stream.incomplete_bytes < gb26875.LONGEST_FRAME_BYTES
    got += stream.give_up()
    assert b"".join(piece.data for piece in got) == b"".join(parts)
    assert all((piece.message is None) != (piece.error is None) for piece in got)


def test_an_endless_sender_is_held_in_bounds():
    """A megabyte of starts: no frame, nothing kept, told as skipped."""
    stream = Stream()
    for _ in range(16):
        stream.feed(b"@@" * 32768)
        assert stream.incomplete_bytes < gb26875.LONGEST_FRAME_BYTES


def test_bytes_made_of_starts_are_not_judged_one_by_one(monkeypatch):
    """Their lengths cannot be: 64 KiB of them cost the loop a quarter of a second. What is sound behind them is found."""
    judged = []
    monkeypatch.setattr(gb26875_stream, "fault", lambda data, dialect: judged.append(len(data)) or fault(data, dialect))
    stream = Stream()
    pieces = [piece for _ in range(16) for piece in stream.feed(b"@" * 4096)]
    pieces += stream.feed(V01) + stream.give_up()
    assert pieces[-1].data == V01
    assert len(judged) < 200
    assert b"".join(piece.data for piece in pieces) == b"@" * 65536 + V01
