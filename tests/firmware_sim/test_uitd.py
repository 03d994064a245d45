"""The simulated transmission device alone, against frames written by the description."""

import pytest

from firmware_sim.uitd import FIRE, Part, Uitd, framed

SMOKE = Part(40, bytes.fromhex("0a000200"), "烟感")
TANK = (11, 1, bytes.fromhex("07000000"), 5)


def uitd(**more):
    return Uitd(889, 88888, (SMOKE,), **more)


def order(command, data, serial=7):
    """A frame of the centre."""
    head = (
        serial.to_bytes(2, "little") + b"\1\1" + bytes(6) + (88888).to_bytes(6, "little") + (889).to_bytes(6, "little")
    )
    return framed(head, command, data)


def parts(out):
    """Command and data of each frame."""
    found = []
    while out:
        size = 30 + int.from_bytes(out[24:26], "little")
        found.append((out[26], out[27 : size - 3]))
        out = out[size:]
    return found


def test_a_duty_check_is_confirmed_and_answered_when_somebody_presses_the_key():
    """At once, and after the time; the operator's number is in it."""
    device = uitd(duty_after_s=30.0, operator=7)
    assert parts(device.receive(order(1, bytes([91, 1, 10])), 5.0)) == [(3, b"")]
    assert device.duty_checks == [10]
    assert device.step(34.9) == b""
    ((command, data),) = parts(device.step(35.0))
    assert (command, data[:4]) == (2, bytes([24, 1, 0x20, 7]))


@pytest.mark.parametrize("after_s", [None, 61.0])
def test_nobody_presses_or_too_late(after_s):
    """The prompt is over by then."""
    device = uitd(duty_after_s=after_s)
    device.receive(order(1, bytes([91, 1, 1])), 0.0)
    assert device.step(1000.0) == b""


def test_its_clock_is_set():
    """And its next frames carry it."""
    device, tag = uitd(), bytes.fromhex("00000e0f011b")
    assert parts(device.receive(order(1, bytes([90, 1]) + tag), 0.0)) == [(3, b"")]
    device.change(SMOKE, FIRE)
    assert device.step(1.0)[6:12] == tag


def test_a_measured_value_is_uploaded_and_answered():
    """Type 63 names no analogue type: all of the component's are told."""
    device = uitd()
    device.change_value(TANK, 3520)
    ((command, data),) = parts(device.step(0.0))
    assert (command, data[:12]) == (2, bytes.fromhex("03010b010007000000 05c00d".replace(" ", "")))
    answer = parts(device.receive(order(4, bytes([63, 1, 11, 1]) + TANK[2]), 1.0))
    assert answer[0] == (5, data)


def test_several_systems_are_told_apart():
    """Each under its type and address; an unknown one is denied."""
    device = uitd()
    device.change_system(FIRE, 11, 2)
    assert parts(device.step(0.0))[0][1][:6] == bytes([1, 1, 11, 2, 2, 0])
    assert parts(device.receive(order(4, bytes([61, 1, 1, 1])), 0.0))[0][1][:6] == bytes([1, 1, 1, 1, 1, 0])
    assert parts(device.receive(order(4, bytes([61, 1, 9, 9])), 0.0))[0][0] == 6
