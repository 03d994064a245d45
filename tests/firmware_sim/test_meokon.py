"""The terminal's frames against the recorded one."""

import pytest

from firmware_sim.meokon import Gauge, Report, answered, crc

VECTOR = (
    "A55A00003B53484D4B313930363030313334C8003C000A0102006401F4021A5D1966B6"
    "0219021A0216021802180213021E021C021D021D7E0355AA"
)


def test_it_reproduces_the_recorded_frame_byte_for_byte():
    """SHMK19060013, battery 52, -56 dBm, every 60 s, high alarm, 0.538 MPa, ten buffered values."""
    report = Report(
        id="SHMK19060013", battery=52, rssi=-56, interval_s=60, type=1, alarms=0b10, low=100, high=500, current=538,
        time=1561945782, buffered=(537, 538, 534, 536, 536, 531, 542, 540, 541, 541),
    )  # fmt: skip
    assert report.encode().hex().upper() == VECTOR


def test_the_gauge_makes_that_frame_from_point_values():
    """0.538 MPa over a limit of 0.5 sets the high bit without being told."""
    gauge = Gauge("SHMK19060013", 1, (0.1, 0.5))
    values = {"pressure": 0.538, "battery": 52, "rssi": -56}
    report = gauge.report(values, 60, 1561945782, (537, 538, 534, 536, 536, 531, 542, 540, 541, 541))
    assert report.encode().hex().upper() == VECTOR
    carried = gauge.carried(report)
    assert carried == {
        "pressure": 0.538, "battery": 52, "rssi": -56, "low": 0, "high": 1, "battery_low": 0, "sensor_fault": 0, "hardware_fault": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "count"), [(0, 3200), (1, 320), (24, 320)])
def test_the_step_follows_the_type(kind, count):
    """Type 0 counts 0.1 kPa, type 1 0.001 MPa; type 24 is taken to count as type 1."""
    assert Gauge("T", kind).count(0.32) == count


def test_hydrants_have_three_bits_more():
    """Impact, tilt, water taken: bits 5, 6, 7 of type 24 only."""
    values = {"pressure": 0.3, "tilt": 1, "water_taken": 1, "impact": 1}
    assert Gauge("T", 24).alarms(values) == 0b11100000
    assert Gauge("T", 1).alarms(values) == 0


@pytest.mark.parametrize(("pressure", "bits"), [(0.139, 1), (0.14, 0), (1.2, 0), (1.201, 2)])
def test_low_and_high_follow_the_pressure(pressure, bits):
    """At the limit itself there is no alarm."""
    assert Gauge("T").alarms({"pressure": pressure}) == bits


@pytest.mark.parametrize(
    ("point", "value"),
    [
        ("pressure", -0.1),
        ("pressure", 32.8),
        ("pressure", None),
        ("battery", 101),
        ("rssi", -129),
        ("low", 2),
        ("tilt", 0.5),
    ],
)
def test_what_does_not_fit_into_the_frame_is_refused(point, value):
    """Nothing is clamped."""
    with pytest.raises(ValueError, match=f"{point}: "):
        Gauge("T").check(point, value)


def envelope(id, command=0xFF):
    body = b"\xa5\x5a" + bytes([command]) + (9 + len(id)).to_bytes(2) + id
    return body + crc(body) + b"\x55\xaa"


def test_the_servers_answer_is_recognised_anywhere_in_what_came():
    """After noise and other frames too; the terminal only needs to know that it was heard."""
    mine = envelope(b"SHMK19060013")
    assert answered(mine, "SHMK19060013")
    assert answered(b"\xa5\xa5\x5a" + mine, "SHMK19060013")
    assert answered(envelope(b""), "SHMK19060013")


@pytest.mark.parametrize(
    "received",
    [
        b"",
        envelope(b"SHMK19060014"),
        envelope(b"SHMK19060013")[:-1],
        envelope(b"SHMK19060013")[:-3] + b"\0\x55\xaa",
        b"\xa5\x5a" * 20,
    ],
)
def test_anything_else_is_no_answer(received):
    """Another terminal's, an incomplete one, a wrong CRC, noise."""
    assert not answered(received, "SHMK19060013")
