"""The inclinometer against its manual's vectors."""

import pytest

from firmware_sim.bwm826 import Inclinometer, bcd
from firmware_sim.fault import HEALTHY, Fault, What
from firmware_sim.slave import Heard

TILT = Inclinometer("tilt", 0)
REQUEST = bytes.fromhex("770500000409")


def test_it_answers_the_manual_byte_for_byte():
    """Read X and Y: +2.0130 and -0.5120 degrees."""
    answer = TILT.hear(REQUEST, {"x": 2.013, "y": -0.512}, HEALTHY)
    assert answer.data.hex().upper() == "771100008400020130100051200000000049"
    assert answer.points == {"x": 2.013, "y": -0.512}


@pytest.mark.parametrize(
    ("degrees", "digits"),
    [
        (0, "00000000"),
        (-0.00001, "00000000"),
        (-0.0001, "10000001"),
        (0.00005, "00000000"),
        (359.9999, "03599999"),
        (-90, "10900000"),
    ],
)
def test_angles_are_signed_decimal_digits(degrees, digits):
    """S XXX YYYY; nothing is ever minus zero."""
    assert bcd(degrees).hex() == digits


@pytest.mark.parametrize(
    ("frame", "heard"),
    [
        ("770500000408", Heard.NOISE),  # sum
        ("770600000409", Heard.NOISE),  # length
        ("7705000104", Heard.NOISE),
        ("77050001040a", Heard.OTHERS),  # address 1
        ("77050000050a", Heard.OTHERS),  # set zero: not simulated
        ("010300000002c40b", Heard.NOISE),
    ],
)
def test_it_keeps_quiet_to_everything_else(frame, heard):
    """Only a sound read of its own address is answered."""
    assert TILT.hear(bytes.fromhex(frame), {"x": 0, "y": 0}, HEALTHY) is heard


def test_a_foreign_answer_names_another_address():
    """Length and sum are right, the address is not."""
    answer = TILT.hear(REQUEST, {"x": 2.013, "y": -0.512}, Fault(What.FOREIGN))
    assert answer.data[:5].hex() == "7711000184"
    assert sum(answer.data[1:-1]) & 0xFF == answer.data[-1]


@pytest.mark.parametrize("value", [1000, -1000, None, float("nan")])
def test_an_angle_that_does_not_fit_is_refused(value):
    """Three digits before the point."""
    with pytest.raises(ValueError, match="x: "):
        TILT.check("x", value)
