"""Values become registers as the documents say, and never silently something else."""

import math
import struct

import pytest

from firmware_sim.registers import PointMap, RegisterMap, Table, Type


def at(register=0, type=Type.UINT16, table=Table.HOLDING, **more):
    return PointMap("p", table, register, type, **more)


@pytest.mark.parametrize(
    ("point", "value", "words"),
    [
        (at(scale=0.01), 0.21, (21,)),
        (at(type=Type.INT16, scale=0.1), -4.5, (0x10000 - 45,)),
        (at(type=Type.UINT32), 0x01020304, (0x0102, 0x0304)),
        (at(type=Type.UINT32, word_order="CDAB"), 0x01020304, (0x0304, 0x0102)),
        (at(type=Type.UINT32, word_order="BADC"), 0x01020304, (0x0201, 0x0403)),
        (at(type=Type.UINT32, word_order="DCBA"), 0x01020304, (0x0403, 0x0201)),
        (at(type=Type.INT32), -2, (0xFFFF, 0xFFFE)),
        (at(type=Type.FLOAT32), 1.0, (0x3F80, 0)),
        (at(type=Type.FLOAT32, word_order="CDAB"), 1.0, (0, 0x3F80)),
        (at(low_bit=3, high_bit=3), 1, (8,)),
        (at(low_bit=4, high_bit=7), 0xA, (0xA0,)),
        (at(type=Type.UINT32, low_bit=16, high_bit=31), 5, (5, 0)),
        (at(type=Type.UINT32, word_order="CDAB", low_bit=16, high_bit=31), 5, (0, 5)),
        (at(scale=0.1, offset=-40), 20, (600,)),
        (at(type=Type.INT16, not_available=-32768), None, (0x8000,)),
        (at(not_available=0xFFFF), None, (0xFFFF,)),
        (at(table=Table.COIL, type=Type.BIT), 1, (1,)),
    ],
)
def test_a_value_becomes_these_registers(point, value, words):
    """Scale, offset, sign, word order and bit place are applied."""
    assert point.words(value) == words


def test_a_float_without_value_is_nan():
    """A device with float registers says NaN when it has no value."""
    assert math.isnan(struct.unpack(">f", struct.pack(">2H", *at(type=Type.FLOAT32).words(None)))[0])


@pytest.mark.parametrize(
    ("point", "value"),
    [
        (at(), 65536),
        (at(), -1),
        (at(type=Type.INT16, scale=0.1), 3276.8),
        (at(type=Type.UINT32), 1 << 32),
        (at(low_bit=0, high_bit=0), 2),
        (at(low_bit=4, high_bit=7), 16),
        (at(table=Table.DISCRETE, type=Type.BIT), 2),
        (at(), math.nan),
        (at(), None),
    ],
)
def test_a_value_that_does_not_fit_is_refused(point, value):
    """Nothing is wrapped or clamped: the story would tell something else than the wire."""
    with pytest.raises(ValueError, match="p: "):
        point.words(value)


def test_carried_is_what_the_wire_can_say():
    """A reader gets the value rounded to the register's step, without binary dust."""
    assert at(scale=0.01).carried(0.2149) == 0.21
    assert at(type=Type.INT16, scale=0.1).carried(0.7) == 0.7
    assert at(type=Type.FLOAT32).carried(0.1) == pytest.approx(0.1, rel=1e-7)
    assert at(not_available=0xFFFF).carried(None) is None


MAP = (
    PointMap("a", Table.HOLDING, 10, Type.UINT16),
    PointMap("b", Table.HOLDING, 11, Type.UINT16, low_bit=0, high_bit=0),
    PointMap("c", Table.HOLDING, 11, Type.UINT16, low_bit=8, high_bit=9),
    PointMap("d", Table.HOLDING, 13, Type.UINT32),
)
VALUES = {"a": 7, "b": 1, "c": 2, "d": 65537}


def test_fields_of_one_register_are_put_together():
    """Bits of several points share their register; a gap between points reads as 0."""
    assert RegisterMap(MAP).read(Table.HOLDING, 10, 5, VALUES) == [7, 0x0201, 0, 1, 1]


def test_a_part_of_the_map_can_be_read():
    """A read that cuts a wide point gives the half that it asked for, and does not count it as carried."""
    registers = RegisterMap(MAP)
    assert registers.read(Table.HOLDING, 11, 3, VALUES) == [0x0201, 0, 1]
    assert registers.carried(Table.HOLDING, 11, 3, VALUES) == {"b": 1, "c": 2}


@pytest.mark.parametrize(
    ("table", "start", "count"), [("holding", 9, 2), ("holding", 14, 2), ("input", 10, 1), ("coil", 0, 1)]
)
def test_addresses_outside_are_not_there(table, start, count):
    """Before the first point, after the last, or in a table that the device has not."""
    assert RegisterMap(MAP).read(Table(table), start, count, VALUES) is None


def test_a_device_may_refuse_its_gaps():
    """Some devices answer ILLEGAL DATA ADDRESS when a read touches an address between their points."""
    strict = RegisterMap(MAP, gaps_refused=True)
    assert strict.read(Table.HOLDING, 10, 5, VALUES) is None
    assert strict.read(Table.HOLDING, 10, 2, VALUES) == [7, 0x0201]


@pytest.mark.parametrize(
    ("type", "order", "value", "words"),
    [
        (Type.UINT16, "BA", 0x1234, (0x3412,)),
        (Type.UINT64, "ABCD", 0x0102030405060708, (0x0102, 0x0304, 0x0506, 0x0708)),
        (Type.INT64, "GHEFCDAB", -2, (0xFFFE, 0xFFFF, 0xFFFF, 0xFFFF)),
        (Type.FLOAT64, "HGFEDCBA", 1.5, (0, 0, 0, 0xF83F)),
        (Type.BCD16, "ABCD", 1234, (0x1234,)),
        (Type.BCD32, "CDAB", 12345678, (0x5678, 0x1234)),
        (Type.BCD64, "ABCDEFGH", 1234567890123456, (0x1234, 0x5678, 0x9012, 0x3456)),
    ],
)
def test_wide_values_decimal_digits_and_byte_orders(type, order, value, words):
    """Worked out by hand; what is carried is exact, also beyond the 53 bits of a float."""
    point = at(type=type, word_order=order)
    assert point.words(value) == words
    assert point.carried(value) == value
    assert point.width == len(words)


def test_a_string_says_its_number():
    """In decimal, padded, and with its bytes swapped where the device does that."""
    assert at(type=Type.STRING, registers=3).words(42) == (0x3432, 0, 0)
    assert at(type=Type.STRING, registers=2, word_order="BA").words(421) == (0x3234, 0x0031)


@pytest.mark.parametrize(("type", "value"), [(Type.BCD16, 10000), (Type.BCD32, -1), (Type.UINT64, 2**64)])
def test_what_does_not_fit_a_wide_register_is_refused(type, value):
    """As everywhere."""
    with pytest.raises(ValueError, match="outside"):
        at(type=type).words(value)
