"""Registers <-> values, against arithmetic that uses no struct."""

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.modbus_at import At, encode, needs
from drivers.modbus_plan import plan
from drivers.modbus_value import compile_points, compile_range, decode, decode_some
from gateway.model import Kind, Point, Quality

LIMITS = {"holding": 125, "input": 125, "coil": 2000, "discrete": 2000}
INTEGERS = {"uint16": (16, False), "int16": (16, True), "uint32": (32, False), "int32": (32, True)}
ORDERS = ["ABCD", "CDAB", "BADC", "DCBA"]


def point(kind, at, **more):
    return Point("d/p", "p", Kind(kind), source=at, **more)


def decoded(points, data, first=0):
    """The values of points in a register image that starts at `first`."""
    codec = compile_points(points)
    cells = [None] * len(points)
    for asked in plan(needs(points), 0, LIMITS):
        start = 2 * (asked.first - first)
        pdu = b"\x03\x00" + data[start : start + 2 * (asked.end - asked.first)]
        for index, cell in zip(asked.points, compile_range(asked, points)(pdu), strict=True):
            cells[index] = cell
    values, qualities = decode(codec, cells)
    assert decode_some(codec, cells, [None] * len(points)) == (values, qualities)
    return values, [Quality(quality) for quality in qualities]


def wire(number, order):
    """A 32-bit pattern as the bytes that the order's letters name; arithmetic only."""
    letters = {letter: number >> shift & 0xFF for letter, shift in zip("ABCD", (24, 16, 8, 0), strict=True)}
    return bytes(letters[letter] for letter in order)


def ieee754(bits):
    """A float32 pattern's value by arithmetic; None for NaN and infinity."""
    sign = -1 if bits >> 31 else 1
    exponent, fraction = bits >> 23 & 0xFF, bits & 0x7FFFFF
    if exponent == 255:
        return None
    if exponent == 0:
        return sign * Fraction(fraction, 1 << 149)
    return sign * Fraction((1 << 23) + fraction, 1) * Fraction(2) ** (exponent - 150)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(INTEGERS)), st.sampled_from(ORDERS))
def test_integers_of_all_types_and_word_orders(bits, type, order):
    """Two's complement by hand; encoding gives the same bytes back."""
    width, signed = INTEGERS[type]
    bits %= 1 << width
    value = bits - (1 << width) if signed and bits >> width - 1 else bits
    order = order if width == 32 else "ABCD"
    data = wire(bits, order) if width == 32 else bytes([bits >> 8, bits & 0xFF])
    at = At(0, type=type, word_order=order)
    assert decoded([point("int", at)], data) == ((value,), [Quality.GOOD])
    assert encode(at, value) == data
    assert encode(at, bits) == data


@given(st.integers(0, 2**32 - 1), st.sampled_from(ORDERS))
@example(0x7F800000, "ABCD")
@example(0xFF800000, "DCBA")
@example(0x7FC00000, "CDAB")
@example(0x00000001, "BADC")
@example(0x80000000, "ABCD")
def test_floats_in_all_word_orders(bits, order):
    """IEEE 754 by hand; NaN and infinity are NOT_A_NUMBER and give no value."""
    at = At(0, type="float32", word_order=order)
    values, qualities = decoded([point("float", at)], wire(bits, order))
    expected = ieee754(bits)
    if expected is None:
        assert (values, qualities) == ((None,), [Quality.NOT_A_NUMBER])
    else:
        assert (Fraction(values[0]), qualities) == (expected, [Quality.GOOD])
        assert encode(at, values[0]) == wire(bits, order)


@given(st.integers(0, 2**32 - 1), st.integers(0, 31), st.sampled_from(ORDERS))
def test_bits_of_words(bits, bit, order):
    """Bit 0 is the least significant, of 16 and of 32 bits."""
    wide = At(0, type="uint32", bit=bit, word_order=order)
    assert decoded([point("bool", wide)], wire(bits, order))[0] == (bits // 2**bit % 2,)
    narrow = At(0, type="uint16", bit=bit % 16)
    assert decoded([point("bool", narrow)], bytes([bits >> 8 & 0xFF, bits & 0xFF]))[0] == (bits // 2 ** (bit % 16) % 2,)


@given(st.integers(0, 65535), st.integers(0, 15), st.integers(0, 15))
def test_bit_fields(word, one, other):
    """Lowest and highest bit, both included."""
    low, high = sorted((one, other))
    value = decoded([point("int", At(0, bits=(low, high)))], bytes([word >> 8, word & 0xFF]))[0][0]
    assert value == word // 2**low % 2 ** (high - low + 1)


@given(st.integers(0, 65535), st.sampled_from([0.1, 0.01, 0.001, 0.5, 0.05, 0.2]))
def test_a_decimal_scale_gives_the_nearest_float(raw, scale):
    """So that a limit written 0.57 is not passed by a value of 0.57."""
    (value,), _ = decoded([point("float", At(0, scale=scale))], bytes([raw >> 8, raw & 0xFF]))
    assert value == float(raw * Fraction(str(scale)))


@given(st.integers(-32768, 32767), st.floats(-100, 100).filter(lambda scale: abs(scale) > 1e-6), st.floats(-1e3, 1e3))
def test_any_scale_and_offset(raw, scale, offset):
    """raw x scale + offset, within rounding."""
    (value,), _ = decoded([point("float", At(0, type="int16", scale=scale, offset=offset))], encode(At(0), raw))
    assert math.isclose(value, raw * scale + offset, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(("raw", "value"), [(0, -40), (100, 160)])
def test_a_scaled_int_stays_an_int(raw, value):
    """2 x raw - 40."""
    (found,), _ = decoded([point("int", At(0, scale=2.0, offset=-40.0))], encode(At(0), raw))
    assert found == value
    assert isinstance(found, int)


@pytest.mark.parametrize(
    ("at", "absent", "other"),
    [
        (At(0, not_available=65535), 65535, 65534),
        (At(0, type="int16", not_available=-32768), -32768, -32767),
        (At(0, type="int16", not_available=0x8000), -32768, 32767),
        (At(0, type="int32", not_available=-1, word_order="CDAB"), -1, 1),
        (At(0, type="uint32", not_available=0xFFFF0000, word_order="DCBA"), 0xFFFF0000, 0x0000FFFF),
        (At(0, type="float32", not_available=-9999.0), -9999.0, -9998.0),
        (At(0, type="float32", not_available=0.1, word_order="BADC"), 0.1, 0.2),
    ],
)
def test_the_raw_value_that_means_sensor_fault(at, absent, other):
    """It gives no value, whatever range the point has; its neighbour is a value."""
    probe = point("float", at, low=-1e9, high=1e10)
    assert decoded([probe], encode(at, absent)) == ((None,), [Quality.SENSOR_FAULT])
    assert decoded([probe], encode(at, other))[1] == [Quality.GOOD]


def test_an_absent_word_makes_its_bits_absent():
    """0xFF in the low byte is a point that the panel does not have; here the whole word says so."""
    points = [point("bool", At(0, bit=bit, not_available=0xFFFF)) for bit in (0, 15)]
    assert decoded(points, b"\xff\xff") == ((None, None), [Quality.SENSOR_FAULT] * 2)
    assert decoded(points, b"\xff\xfe") == ((0, 1), [Quality.GOOD] * 2)


@pytest.mark.parametrize(("raw", "quality"), [(-1, "OUT_OF_RANGE"), (0, "GOOD"), (20, "GOOD"), (21, "OUT_OF_RANGE")])
def test_a_value_outside_the_range_is_kept_and_uncertain(raw, quality):
    """Law 1: it may raise an alarm and never clears one."""
    probe = point("float", At(0, type="int16"), low=0, high=20)
    assert decoded([probe], encode(At(0), raw)) == ((float(raw),), [Quality[quality]])


def test_one_suspicious_value_does_not_change_its_neighbours():
    """Good, out of range, absent, NaN, good: each its own quality."""
    points = [
        point("float", At(0, scale=0.1)),
        point("float", At(1), high=10),
        point("int", At(2, not_available=0)),
        point("float", At(3, type="float32")),
        point("bool", At(5, bit=3)),
    ]
    data = bytes.fromhex("0005 000b 0000 7fc00000 0008")
    assert decoded(points, data) == (
        (0.5, 11.0, None, None, 1),
        [Quality.GOOD, Quality.OUT_OF_RANGE, Quality.SENSOR_FAULT, Quality.NOT_A_NUMBER, Quality.GOOD],
    )


@pytest.mark.parametrize(("raw", "quality"), [(1, Quality.GOOD), (12, Quality.GOOD), (4, Quality.OUT_OF_RANGE)])
def test_an_enum_value_without_a_label_is_uncertain(raw, quality):
    """Labels may have holes."""
    probe = point("enum", At(0), labels=((1, "normal"), (12, "calibrating")))
    assert decoded([probe], encode(At(0), raw)) == ((raw,), [quality])


def test_a_whole_register_as_a_bool_is_true_when_anything_is_set():
    """A word that holds 0 or 1, or alarm bits: not 0 is true."""
    for raw, value in ((0, 0), (1, 1), (0x100, 1)):
        assert decoded([point("bool", At(0))], encode(At(0), raw)) == ((value,), [Quality.GOOD])


@given(st.binary(min_size=24, max_size=24), st.data())
def test_points_may_share_and_overlap_registers(image, data):
    """Words, halves of 32-bit values and bits of the same registers, in any order of points."""
    ats = data.draw(
        st.lists(
            st.builds(
                At,
                st.integers(0, 10),
                type=st.sampled_from(["uint16", "int16", "uint32", "int32"]),
                word_order=st.just("ABCD"),
            ),
            min_size=1,
            max_size=12,
        )
    )
    values, _ = decoded([point("int", at) for at in ats], image)
    for at, value in zip(ats, values, strict=True):
        width, signed = INTEGERS[at.type]
        assert value == int.from_bytes(image[2 * at.register :][: width // 8], "big", signed=signed)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30), st.binary(min_size=8, max_size=8))
def test_coils_come_in_the_order_of_the_points(registers, image):
    """The first coil is the lowest bit of the first byte."""
    points = [point("bool", At(register, table="coil")) for register in registers]
    (asked,) = plan(needs(points), 64, LIMITS)
    packed = int.from_bytes(image, "little") >> asked.first
    pdu = b"\x01\x00" + packed.to_bytes(8, "little")
    cells = [None] * len(points)
    for index, cell in zip(asked.points, compile_range(asked, points)(pdu), strict=True):
        cells[index] = cell
    expected = tuple(image[register // 8] >> register % 8 & 1 for register in registers)
    assert decode(compile_points(points), cells) == (expected, bytes(len(points)))


ORDERS_64 = ["ABCDEFGH", "BADCFEHG", "CDABGHEF", "DCBAHGFE", "EFGHABCD", "FEHGBADC", "GHEFCDAB", "HGFEDCBA"]


def lettered(data, order):
    """`data`, most significant byte first, as the order's letters name it."""
    return bytes(data["ABCDEFGH".index(letter)] for letter in order)


@given(st.integers(0, 2**64 - 1), st.sampled_from(ORDERS_64))
def test_64_bit_values_in_all_eight_orders(bits, order):
    """Two's complement and IEEE 754 of eight bytes; encoding gives the same bytes back."""
    data = lettered(bits.to_bytes(8, "big"), order)
    signed = bits - (1 << 64) if bits >> 63 else bits
    at = At(0, type="int64", word_order=order)
    assert decoded([point("int", at)], data) == ((signed,), [Quality.GOOD])
    assert encode(at, signed) == data
    (double,) = struct.unpack(">d", bits.to_bytes(8, "big"))
    expected = ((double,), [Quality.GOOD]) if math.isfinite(double) else ((None,), [Quality.NOT_A_NUMBER])
    assert decoded([point("float", At(0, type="float64", word_order=order))], data) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0, (0, Quality.GOOD)),
        (2**63 - 1, (2**63 - 1, Quality.GOOD)),
        (2**63, (None, Quality.NOT_A_NUMBER)),
        (2**64 - 1, (None, Quality.NOT_A_NUMBER)),
    ],
)
def test_an_integer_that_no_column_holds_is_no_number(raw, expected):
    """An unsigned 64-bit counter beyond 2^63: refused here, not deep in the journal; the same for a float."""
    at = At(0, type="uint64")
    assert decoded([point("int", at)], encode(at, raw)) == ((expected[0],), [expected[1]])
    assert decoded([point("float", at)], raw.to_bytes(8, "big"))[0] == ((float(raw),) if raw < 2**63 else (None,))


@given(
    st.integers(0, 10**16 - 1), st.sampled_from([("bcd16", 2, "BA"), ("bcd32", 4, "CDAB"), ("bcd64", 8, "GHEFCDAB")])
)
def test_bcd_reads_four_decimal_digits_a_register(number, kind):
    """In order and in another; scaled as any integer."""
    type, size, order = kind
    number %= 10 ** (2 * size)
    digits = bytes.fromhex(str(number).zfill(2 * size))
    assert decoded([point("int", At(0, type=type))], digits) == ((number,), [Quality.GOOD])
    assert encode(At(0, type=type), number) == digits
    assert decoded([point("int", At(0, type=type, word_order=order))], lettered(digits, order)) == (
        (number,),
        [Quality.GOOD],
    )
    assert decoded([point("float", At(0, type=type, scale=0.01))], digits) == ((number / 100,), [Quality.GOOD])


@pytest.mark.parametrize("kind", ["int", "float", "enum"])
@pytest.mark.parametrize("at", [At(0, type="bcd16"), At(0, type="bcd16", scale=10.0, offset=3.0)])
def test_a_bcd_digit_above_nine_is_no_number(kind, at):
    """1A34 is not 1034, and not 6708."""
    probe = point(kind, at, labels=((1, "one"),) if kind == "enum" else ())
    assert decoded([probe], bytes.fromhex("1A34")) == ((None,), [Quality.NOT_A_NUMBER])


@pytest.mark.parametrize(("type", "order"), [("uint16", "BA"), ("int16", "BA")])
def test_a_single_register_may_have_its_bytes_swapped(type, order):
    """As some vendors do."""
    assert decoded([point("int", At(0, type=type, word_order=order))], b"\x34\x12") == ((0x1234,), [Quality.GOOD])


@pytest.mark.parametrize(
    ("encoding", "data", "text"),
    [
        ("ascii", b"SN-0042\0junk\xff", "SN-0042"),
        ("ascii", b"SN-0042     ", "SN-0042"),
        ("ascii", b"\xff" * 12, ""),
        ("gb18030", "1号楼烟感".encode("gb18030") + b"\0\0\0", "1号楼烟感"),
        ("utf-8", "烟感3".encode() + b"     ", "烟感3"),
        ("ascii", "烟感".encode("gb18030") + b"\0" * 8, None),
        ("utf-8", b"\xc3\x28" + b"\0" * 10, None),
        ("gb18030", b"\x81" + b"\0" * 11, None),
        ("ascii", b"\x1b[2J" + b"\0" * 8, None),
    ],
)
def test_texts(encoding, data, text):
    """Ends at NUL, blanks and 0xFF; what is no text in its encoding, or would play tricks on a console, is none."""
    registers = len(data) // 2
    swapped = b"".join(data[place : place + 2][::-1] for place in range(0, 2 * registers, 2))
    expected = ((text,), [Quality.GOOD if text is not None else Quality.NOT_A_NUMBER])
    data = data[: 2 * registers]
    for order, wire_bytes in (("ABCD", data), ("AB", data), ("BA", swapped)):
        at = At(0, type="string", registers=registers, encoding=encoding, word_order=order)
        assert decoded([point("text", at)], wire_bytes) == expected


@given(st.binary(min_size=16, max_size=16), st.sampled_from(["ascii", "utf-8", "gb18030"]))
def test_any_bytes_are_a_text_or_none(data, encoding):
    """Beside a number, which keeps its own quality."""
    at = At(0, type="string", registers=8, encoding=encoding)
    values, qualities = decoded([point("text", at), point("int", At(8))], data + b"\0\7")
    assert values[1] == 7
    assert qualities[1] is Quality.GOOD
    assert (values[0] is None) is (qualities[0] is Quality.NOT_A_NUMBER)
    assert values[0] is None or (values[0].isprintable() and "\0" not in values[0])
