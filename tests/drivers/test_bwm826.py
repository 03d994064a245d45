"""The BWM826 alone: digits, addresses, mistakes. Its manual's example is in the template's golden exchange."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import DRIVERS
from drivers.bwm826 import Options, angle, frame
from gateway.model import BusKind, Kind, Quality
from tests.drivers import loading

BWM826 = DRIVERS["bwm826"]


def read(data, address=0):
    device = loading.device("bwsensing_bwm826", address)
    reply = frame(address, 0x84, data)
    return loading.run(BWM826.open(device, BusKind.SERIAL)(0), lambda exchange: reply)[0]


@given(st.integers(-9_999_999, 9_999_999))
def test_angles_are_signed_decimal_digits(steps):
    """SXXX.YYYY by text, not by arithmetic on bytes."""
    digits = f"{'1' if steps < 0 else '0'}{abs(steps):07d}"
    assert angle(bytes.fromhex(digits)) == steps / 10000


def test_the_manuals_second_example():
    """10 26 87 60 means -26.8760 degrees."""
    assert angle(bytes.fromhex("10268760")) == -26.876


@pytest.mark.parametrize("digits", ["20000000", "90000000", "F0000000", "0A000000", "0000000F"])
def test_what_is_no_digit_is_no_number(digits):
    """A sign other than 0 and 1, or a hexadecimal digit: that axis alone is BAD."""
    found = read(bytes.fromhex(digits + "00020000" + "00000000"))
    assert found.values == (None, 2.0)
    assert list(found.qualities) == [Quality.NOT_A_NUMBER, Quality.GOOD]


def test_an_angle_beyond_the_instrument_is_uncertain():
    """It keeps its value."""
    found = read(bytes.fromhex("01200000" + "10900000" + "00000000"))
    assert found.values == (120.0, -90.0)
    assert list(found.qualities) == [Quality.OUT_OF_RANGE, Quality.GOOD]


def test_the_address_is_two_bytes():
    """0x1234 in request and reply."""
    device = loading.device("bwsensing_bwm826", 0x1234)
    assert next(BWM826.open(device, BusKind.SERIAL)(0)).request == bytes.fromhex("7705123404 4f")
    assert read(bytes(12), 0x1234).values == (0.0, 0.0)


def test_options_reach_the_exchange():
    """Time-out and settle time."""
    device = loading.device("bwsensing_bwm826", 0, timeout_s=0.2, settle_s=0.1)
    exchange = next(BWM826.open(device, BusKind.SERIAL)(0))
    assert (exchange.timeout_s, exchange.settle_s) == (0.2, 0.1)


@pytest.mark.parametrize("address", [-1, 65536, "0"])
def test_check_refuses_an_address_that_does_not_fit(address):
    """0 to 65535."""
    device = loading.device("bwsensing_bwm826", address)
    assert [path for path, _ in BWM826.check(device)] == ["address"]


def test_check_refuses_an_angle_that_is_no_float():
    """An int would lose four digits."""
    device = loading.device("bwsensing_bwm826", 0)
    points = tuple(replace(point, kind=Kind.INT) for point in device.groups[0].points)
    found = BWM826.check(replace(device, groups=(replace(device.groups[0], points=points),)))
    assert [path for path, _ in found] == ["points.x.kind", "points.y.kind"]


def test_a_device_that_would_stop_its_line_is_a_mistake():
    """A time-out of an hour holds up every other device of the line for as long."""
    made = replace(loading.device("bwsensing_bwm826", 0), options=Options(timeout_s=3600, settle_s=60))
    assert [path for path, _ in BWM826.check(made)] == ["options.timeout_s", "options.settle_s"]
