"""A Modbus slave answers byte for byte as the specification's frames do."""

import pytest

from firmware_sim.fault import HEALTHY, Fault, What
from firmware_sim.modbus import ModbusSlave
from firmware_sim.registers import PointMap, RegisterMap, Table, Type
from firmware_sim.slave import Heard

SMOKE = ModbusSlave(
    "smoke",
    1,
    RegisterMap(
        (
            PointMap("density", Table.HOLDING, 0, Type.UINT16, scale=0.01),
            PointMap("alarm", Table.HOLDING, 1, Type.UINT16, 0, 0),
            PointMap("valve", Table.COIL, 0, Type.BIT),
        )
    ),
)
VALUES = {"density": 0.21, "alarm": 1, "valve": 1}


def hear(frame, fault=HEALTHY):
    return SMOKE.hear(bytes.fromhex(frame), VALUES, fault)


def test_a_read_is_answered_with_the_values():
    """01 03 0000 0002 C40B -> two registers, 21 and 1, and a CRC worked out by hand."""
    answer = hear("010300000002C40B")
    assert answer.data.hex() == "0103040015" + "0001" + "2a37"
    assert answer.points == {"density": 0.21, "alarm": 1}


def test_the_vectors_of_real_devices_are_understood():
    """LC-Tech I/O board: `FF02 0000 0008 6C12` is answered `FF02 01 01 51A0` when input 0 is closed."""
    inputs = tuple(PointMap(f"in{bit}", Table.DISCRETE, bit, Type.BIT) for bit in range(8))
    board = ModbusSlave("board", 255, RegisterMap(inputs))
    values = dict.fromkeys((point.name for point in inputs), 0) | {"in0": 1}
    assert board.hear(bytes.fromhex("FF02000000086C12"), values, HEALTHY).data.hex().upper() == "FF02010151A0"


def test_witmotion_request_reads_three_angles():
    """WT901C485, address 0x50: `5003 003D 0003 9986` asks for roll, pitch, yaw."""
    angles = tuple(
        PointMap(name, Table.HOLDING, 0x3D + index, Type.INT16, scale=180 / 32768) for index, name in enumerate("rpy")
    )
    answer = ModbusSlave("wit", 0x50, RegisterMap(angles)).hear(
        bytes.fromhex("5003003D00039986"), {"r": 90, "p": -45, "y": 0}, HEALTHY
    )
    assert answer.data[:9].hex() == "500306" + "4000" + "e000" + "0000"
    assert answer.points == {"r": 90, "p": -45, "y": 0}


@pytest.mark.parametrize(
    ("frame", "heard"),
    [
        ("020300000002C438", Heard.OTHERS),  # another address, sound
        ("010300000002C40C", Heard.NOISE),  # CRC
        ("0103", Heard.NOISE),
        ("", Heard.NOISE),
        ("770500000409", Heard.NOISE),  # a BWM826 request
    ],
)
def test_what_is_not_for_it_is_not_answered(frame, heard):
    """A slave answers only sound frames with its own address."""
    assert hear(frame) is heard


@pytest.mark.parametrize(
    ("pdu", "refusal"),
    [
        ("0600010001", "8601"),  # writing: ILLEGAL FUNCTION
        ("2b0e0100", "ab01"),
        ("83", "8301"),
        ("0300020001", "8302"),  # ILLEGAL DATA ADDRESS
        ("0400000001", "8402"),
        ("0300000000", "8303"),  # ILLEGAL DATA VALUE
        ("030000007e", "8303"),
        ("03000000", "8303"),
        ("030000000100", "8303"),
    ],
)
def test_what_it_has_not_got_is_refused_with_the_right_code(pdu, refusal):
    """Exceptions 1, 2 and 3 as the Modbus specification has them, and nothing carried."""
    assert SMOKE.reply(bytes.fromhex(pdu), VALUES, HEALTHY) == (bytes.fromhex(refusal), {})


def test_an_exception_fault_refuses_with_its_code():
    """The device answers 83 04 whatever is asked."""
    answer = hear("010300000002C40B", Fault(What.EXCEPTION, code=4))
    assert answer.data[:3].hex() == "018304"
    assert answer.points == {}


def test_a_foreign_answer_is_sound_but_of_another_address():
    """Only the address tells: the CRC is right."""
    answer = hear("010300000002C40B", Fault(What.FOREIGN))
    assert answer.data[0] == 2
    assert ModbusSlave("other", 2, SMOKE.map).hear(answer.data, VALUES, HEALTHY) is not Heard.NOISE


def test_over_tcp_the_transaction_number_comes_back():
    """MBAP: transaction, protocol 0, length, unit."""
    answer = SMOKE.hear_tcp(0xBEEF, bytes.fromhex("0300000001"), VALUES, HEALTHY)
    assert answer.data.hex() == "beef0000000501" + "03020015"


RELAYS = ModbusSlave(
    "relays", 1, RegisterMap(tuple(PointMap(f"relay_{bit + 1}", Table.COIL, bit, Type.BIT) for bit in range(8)))
)


def test_a_coil_is_set_and_the_request_comes_back():
    """Waveshare wiki: `01 05 00 00 FF 00 8C 3A` closes relay 1, `... 00 00 CD CA` opens it."""
    values = dict.fromkeys((point.name for point in RELAYS.map.points), 0)
    for frame, value in (("01050000FF008C3A", 1), ("010500000000CDCA", 0)):
        answer = RELAYS.hear(bytes.fromhex(frame), values, HEALTHY)
        assert (answer.data, dict(answer.writes)) == (bytes.fromhex(frame), {"relay_1": value})


@pytest.mark.parametrize(
    ("pdu", "answer", "writes"),
    [
        ("0f000000030105", "0f00000003", {"relay_1": 1, "relay_2": 0, "relay_3": 1}),
        ("0f000600020103", "0f00060002", {"relay_7": 1, "relay_8": 1}),
        ("0f000700020103", "8f02", {}),  # relay 9 is not there: none is set
        ("050008ff00", "8502", {}),
        ("0500001234", "8503", {}),
        ("0500", "8503", {}),
        ("0f00000000", "8f03", {}),
        ("0f0000000901ff", "8f03", {}),
        ("0f0000000001ff", "8f03", {}),
        ("0f00", "8f03", {}),
    ],
)
def test_several_coils_are_set_or_none(pdu, answer, writes):
    assert RELAYS.write(bytes.fromhex(pdu)) == (bytes.fromhex(answer), writes)


def test_a_device_that_is_off_or_refuses_sets_nothing():
    values = dict.fromkeys((point.name for point in RELAYS.map.points), 0)
    for fault in (Fault(What.SILENT), Fault(What.EXCEPTION, code=6)):
        assert not RELAYS.hear(bytes.fromhex("01050000FF008C3A"), values, fault).writes
