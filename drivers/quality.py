"""What a decoded value is worth: the judgement that all drivers share.

A value is GOOD, keeps its value as OUT_OF_RANGE (law 1: it may raise an alarm, never clear one), or is no value at all.
Whether a value jumps is not judged here: a driver sees one reply, not the last one.
"""

from __future__ import annotations

from math import isfinite

from gateway.model import Kind, Point, Quality, Value


def judge(point: Point, value: float | int) -> tuple[Value, Quality]:
    """The value as it goes into the scan, and its quality."""
    if not isfinite(value):
        return None, Quality.NOT_A_NUMBER
    if point.kind is Kind.ENUM and all(value != known for known, _ in point.labels):
        return value, Quality.OUT_OF_RANGE
    if (point.low is not None and value < point.low) or (point.high is not None and value > point.high):
        return value, Quality.OUT_OF_RANGE
    return value, Quality.GOOD
