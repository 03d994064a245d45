"""``gengfu decode``: what a technician gets for the bytes of a wire; the exit status and the JSON are a contract."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from typer.testing import CliRunner

from gateway.commands import app
from gateway.decode import DIALECTS, PROTOCOLS, Undecodable, decode, stream

VECTORS = {
    one["id"]: one
    for one in json.loads((Path(__file__).parents[2] / "drivers" / "gb26875_vectors.json").read_text(encoding="utf-8"))
}
V01 = VECTORS["V01"]["hex"]
MEOKON = (
    "A55A00003B53484D4B313930363030313334C8003C000A0102006401F4021A5D1966B6"
    "0219021A0216021802180213021E021C021D021D7E0355AA"
)
BWM826 = "771100008400020130100051200000000049"
FRAMES = {
    "gb26875": V01,
    "modbus-rtu": "5003003D00039986",
    "modbus-tcp": "0001000000065003003D0003",
    "bwm826": BWM826,
    "meokon": MEOKON,
}


def run(*words, stdin=None):
    """Exit status and standard output."""
    result = CliRunner().invoke(app, ["decode", *words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def as_json(protocol, hex_, *more):
    status, text = run(protocol, hex_, "--json", *more)
    return status, json.loads(text)


def rtu(hex_):
    """With an independent CRC."""
    body = bytes.fromhex(hex_)
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


@pytest.mark.parametrize("vector", VECTORS.values(), ids=lambda one: one["id"])
def test_each_shared_frame_is_told_as_its_vector_says(vector):
    """Header fields for the valid ones, the reason for the others."""
    status, told = as_json("gb26875", vector["hex"], "--dialect", vector["dialect"])
    if vector["kind"] != "valid":
        assert (status, told["reason"]) == (1, vector["kind"].removeprefix("bad_"))
        return
    assert status == 0
    assert list(told) == [
        "serial", "version", "time", "source", "destination", "command", "type", "count", "objects", "warnings",
    ]  # fmt: skip
    assert (told["serial"], told["version"], told["command"]) == (
        vector["serial"], vector["version"], vector["command"],
    )  # fmt: skip
    assert (told["type"], told["count"]) == (vector.get("type_flag"), vector.get("object_count"))
    if "src_int" in vector:
        assert (told["source"], told["destination"]) == (vector["src_int"], vector["dst_int"])


def test_a_fire_in_all_its_fields():
    """V01 by its printed meaning."""
    _, told = as_json("gb26875", V01)
    (one,) = told["objects"]
    assert told["time"] == "2012-09-26T09:58:32"
    assert one == {
        "system": 1,
        "system_name": {"zh": "火灾报警系统", "en": "fire alarm system"},
        "address": 1,
        "component": 40,
        "component_name": {"zh": "感烟火灾探测器", "en": "smoke detector"},
        "component_address": 0x2000A,
        "state": {
            "normal": False, "fire": True, "fault": False, "shielded": False, "supervision": False,
            "started": False, "feedback": False, "delay": False, "power_fault": False,
        },
        "state_raw": 2,
        "description": " " * 30,
        "time": "2012-09-26T09:58:02",
    }  # fmt: skip
    assert told["warnings"] == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("V47", {"value": 352.0, "unit": "kPa", "value_raw": 3520, "component_address": 7}),
        ("V05", {"operator": 1}),
        ("V18", {"minutes": 10}),
        ("V50", {"major": 2, "minor": 7}),
        ("V52", {"text": "主配"}),
        ("V55", {"component_address": 7}),
        ("V29", {"description": "manual call point", "loop": 2, "node": 7, "time": "2026-08-24T14:30:15"}),
        ("V24", {"data": "16", "name": {"zh": "握手", "en": "handshake"}}),
    ],
)
def test_what_an_object_says(name, wanted):
    """By the meaning of each vector."""
    vector = VECTORS[name]
    _, told = as_json("gb26875", vector["hex"], "--dialect", vector["dialect"])
    assert told["objects"][0].items() >= wanted.items()


def test_a_duty_check_answer_is_named():
    """V05, bit 5 of the device's operation flags."""
    _, told = as_json("gb26875", VECTORS["V05"]["hex"])
    assert [name for name, is_set in told["objects"][0]["flags"].items() if is_set] == ["duty_answer"]


@pytest.mark.parametrize("vector", VECTORS.values(), ids=lambda one: one["id"])
def test_each_shared_frame_is_shown_in_words(vector):
    """The table, or the reason, in both languages; same exit status as with JSON."""
    status, text = run("gb26875", vector["hex"], "--dialect", vector["dialect"])
    assert status == (vector["kind"] != "valid")
    if status == 0:
        assert "业务流水号" in text
        assert "serial" in text


@pytest.mark.parametrize("protocol", FRAMES)
def test_a_frame_of_each_protocol_is_read(protocol):
    """From the argument with spaces, and from standard input with line ends; told in words, too."""
    spaced = " ".join(FRAMES[protocol][at : at + 2] for at in range(0, len(FRAMES[protocol]), 2))
    status, told = as_json(protocol, spaced)
    assert (status, told["warnings"]) == (0, [])
    assert as_json(protocol, FRAMES[protocol]) == (0, told)
    assert as_json(protocol, *spaced.split()) == (0, told)
    status, text = run(protocol, "-", stdin=spaced.replace(" ", "\n"))
    assert status == 0
    assert "字段" in text


@pytest.mark.parametrize("protocol", FRAMES)
@pytest.mark.parametrize("cut", [1, 4])
def test_a_cut_frame_is_refused(protocol, cut):
    """One reason; an RTU frame has no length of its own, so there it is the checksum."""
    status, told = as_json(protocol, FRAMES[protocol][: -2 * cut])
    assert (status, told["reason"]) == (1, "checksum" if protocol == "modbus-rtu" else "truncated")


@pytest.mark.parametrize("text", ["4", "zz", "40 4"])
def test_what_is_not_hex_is_refused(text):
    """Reason hex, exit 1."""
    assert as_json("gb26875", text)[1]["reason"] == "hex"


@pytest.mark.parametrize(("protocol", "dialect"), [("bacnet", "standard"), ("gb26875", "klingon")])
def test_an_unknown_name_lists_the_known_ones(protocol, dialect):
    """Exit 2, as for every wrong word on a command line."""
    result = CliRunner().invoke(app, ["decode", protocol, V01, "--dialect", dialect])
    assert result.exit_code == 2
    assert ("dahua-1.03" if dialect == "klingon" else "modbus-rtu") in result.stderr


def test_text_from_a_wire_cannot_steer_the_terminal():
    """Escape sequences and markup in a description are shown, not obeyed."""
    data = bytearray.fromhex(V01)
    data[38:46] = b"\x1b[31m[b]"
    data[-3] = sum(data[2:-3]) % 256
    status, text = run("gb26875", data.hex())
    assert status == 0
    assert "\x1b[31m" not in text
    assert "[b]" in text


# --- Modbus


@pytest.mark.parametrize(
    ("pdu", "wanted"),
    [
        ("0300400017", {"kind": "request", "function": 3, "address": 0x40, "quantity": 23}),
        ("0304000a0102", {"kind": "reply", "values": [10, 258]}),
        ("010105", {"kind": "reply", "values": [1, 0, 1, 0, 0, 0, 0, 0]}),
        ("050000ff00", {"kind": "write", "address": 0, "value": 0xFF00}),
        ("0600010203", {"kind": "write", "address": 1, "value": 0x203}),
        ("10000100020400030004", {"kind": "request", "address": 1, "quantity": 2, "values": [3, 4]}),
        ("1000010002", {"kind": "reply", "address": 1, "quantity": 2}),
        ("0f0000000801ff", {"kind": "request", "quantity": 8, "values": [1] * 8}),
        ("8302", {"kind": "exception", "function": 3, "exception": 2}),
        ("2b0e0100", {"kind": "unknown", "function": 43, "data": "0e0100"}),
    ],
)
def test_modbus_pdus_are_told_alike_over_both_links(pdu, wanted):
    """RTU with unit and CRC, TCP with its header."""
    assert decode("modbus-rtu", rtu("11" + pdu)).content.items() >= {"unit": 17, **wanted}.items()
    body = bytes.fromhex("11" + pdu)
    frame = bytes.fromhex("00070000") + len(body).to_bytes(2, "big") + body
    assert decode("modbus-tcp", frame).content.items() >= {"transaction": 7, "unit": 17, **wanted}.items()


def test_a_frame_that_may_be_both_says_so():
    """Five bytes after the unit: a request, or a reply with three bytes of coils."""
    reading = decode("modbus-rtu", rtu("110103000005"))
    assert reading.content["kind"] == "request"
    assert "may as well be a reply" in reading.warnings[0].en


def test_a_crc_with_its_high_byte_first_is_read_with_a_warning():
    """Some vendors do (standards.md 3.8)."""
    frame = rtu("110300400017")
    assert decode("modbus-rtu", frame[:-2] + frame[:-3:-1]).warnings


@pytest.mark.parametrize(
    ("protocol", "hex_", "reason"),
    [
        ("modbus-rtu", "5003003D00039987", "checksum"),
        ("modbus-rtu", "50", "truncated"),
        ("modbus-tcp", "00010001000650030000", "start"),
        ("modbus-tcp", "00010000000050030000", "length"),
        ("bwm826", "78" + BWM826[2:], "start"),
        ("gb26875", "4140" + "00" * 28, "truncated"),  # its beginning is not there
        ("bwm826", "7701", "length"),
        ("bwm826", BWM826[:-2] + "48", "checksum"),
        ("meokon", "A55B" + MEOKON[4:], "start"),
        ("meokon", MEOKON + "00", "length"),
        ("meokon", MEOKON[:-2] + "AB", "tail"),
        ("meokon", MEOKON[:-8] + "0000" + MEOKON[-4:], "checksum"),
    ],
)
def test_each_refusal_has_its_reason(protocol, hex_, reason):
    """In both languages."""
    with pytest.raises(Undecodable) as refused:
        decode(protocol, bytes.fromhex(hex_))
    assert refused.value.reason == reason
    assert refused.value.text.zh


def test_an_angle_that_is_no_number_is_told():
    """A digit above 9: that axis alone is empty."""
    data = bytearray.fromhex(BWM826)
    data[6] = 0xAA
    data[-1] = sum(data[1:-1]) % 256
    reading = decode("bwm826", bytes(data))
    assert reading.content["angles"] == {"x": None, "y": -0.512, "z": 0.0}
    assert "axis x" in reading.warnings[0].en


# --- streams


@pytest.mark.parametrize("protocol", FRAMES)
def test_frames_in_a_row_are_read_and_what_is_between_is_told(protocol):
    """Two frames with noise around them."""
    one = FRAMES[protocol]
    status, told = as_json(protocol, f"EEEE {one} DDDDDD {one} CC", "--stream")
    assert status == 0
    single = as_json(protocol, one)[1]
    assert told["frames"] == [single, single]
    assert (told["skipped"][0]["offset"], told["skipped"][0]["hex"]) == (0, "eeee")
    assert "".join(part["hex"] for part in told["skipped"]) == "eeeeddddddcc"
    assert all(part["reason"] for part in told["skipped"])
    status, text = run(protocol, f"EEEE{one}", "--stream")
    assert status == 0
    assert "skipped 跳过" in text


def test_a_stream_without_a_frame_is_a_failure():
    """Exit 1 with the reason of what was skipped first."""
    status, told = as_json("gb26875", "EEEE", "--stream")
    assert (status, told["frames"], told["reason"]) == (1, [], "truncated")


@given(st.sampled_from(sorted(PROTOCOLS)), st.sampled_from(sorted(DIALECTS)), st.binary(max_size=300))
def test_a_stream_gives_back_every_byte(protocol, dialect, data):
    """Whatever it is; and decoding one frame raises nothing but `Undecodable`."""
    assert b"".join(piece.data for piece in stream(protocol, data, dialect)) == data
    try:
        reading = decode(protocol, data, dialect)
    except Undecodable as error:
        json.dumps(error.to_json())
    else:
        json.dumps(reading.to_json())
