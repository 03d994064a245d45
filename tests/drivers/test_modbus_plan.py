"""Planning: properties over any set of points, and a few plans to read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_plan import Need, Range, Unit, plan, split

LIMITS = {"holding": 10, "coil": 30}


@st.composite
def needs(draw):
    made = []
    for index in range(draw(st.integers(1, 40))):
        first = draw(st.integers(0, 120))
        made.append(Need(draw(st.sampled_from(sorted(LIMITS))), first, first + draw(st.integers(1, 2)), index))
    return made


@given(needs(), st.integers(0, 20))
def test_each_point_is_read_once_and_whole_within_the_limits(wanted, max_gap):
    """And no request reaches over a gap longer than allowed."""
    ranges = plan(wanted, max_gap, LIMITS)
    assert sorted(point for asked in ranges for point in asked.points) == list(range(len(wanted)))
    by_point = {need.point: need for need in wanted}
    for asked in ranges:
        assert asked.end - asked.first <= LIMITS[asked.table]
        end = asked.first
        for unit in asked.units:
            assert unit.first - end <= max_gap
            end = max(end, unit.end)
            for point in unit.points:
                need = by_point[point]
                assert need.table == asked.table
                assert unit.first <= need.first
                assert need.end <= unit.end


@given(needs(), st.integers(0, 20))
def test_splitting_ends_and_loses_no_point(wanted, max_gap):
    """Down to single units, whose points share registers."""
    left = list(plan(wanted, max_gap, LIMITS))
    singles = []
    for _ in range(2 * len(wanted) + 1):
        if not left:
            break
        asked = left.pop()
        parts = split(asked)
        assert sorted(point for part in parts for point in part.points) == (sorted(asked.points) if parts else [])
        assert all(len(part.units) < len(asked.units) for part in parts)
        left += parts
        singles += [] if parts else [asked]
    assert not left
    assert sorted(point for single in singles for point in single.points) == list(range(len(wanted)))


def registers(*firsts):
    return [Need("holding", first, first + 1, index) for index, first in enumerate(firsts)]


def spans(ranges):
    return [(asked.first, asked.end) for asked in ranges]


def test_gaps_are_crossed_only_when_allowed():
    """Registers 0, 1 and 4: a gap of two."""
    assert spans(plan(registers(0, 1, 4), 1, LIMITS)) == [(0, 2), (4, 5)]
    assert spans(plan(registers(0, 1, 4), 2, LIMITS)) == [(0, 5)]


def test_a_32_bit_value_is_never_cut():
    """Nine registers and then a pair, with ten to a request."""
    wanted = [*registers(*range(9)), Need("holding", 9, 11, 9)]
    assert spans(plan(wanted, 0, LIMITS)) == [(0, 9), (9, 11)]


def test_tables_are_never_mixed():
    """Coil 0 and register 0 are two requests."""
    wanted = [Need("holding", 0, 1, 0), Need("coil", 0, 1, 1)]
    assert sorted(asked.table for asked in plan(wanted, 8, LIMITS)) == ["coil", "holding"]


def test_points_of_one_register_stay_together():
    """Bits of a status word are one unit: it cannot be split."""
    wanted = [Need("holding", 5, 6, index) for index in range(8)]
    assert plan(wanted, 0, LIMITS) == (Range("holding", (Unit(5, 6, tuple(range(8))),)),)
    assert split(plan(wanted, 0, LIMITS)[0]) == ()


def test_a_range_splits_over_its_gaps_first_then_in_halves():
    """0-3 and 6: two runs; 0-3: two halves."""
    (whole,) = plan(registers(0, 1, 2, 3, 6), 2, LIMITS)
    assert spans(split(whole)) == [(0, 4), (6, 7)]
    assert spans(split(split(whole)[0])) == [(0, 2), (2, 4)]


def test_a_value_longer_than_a_request_cannot_be_planned():
    """`check` refuses such a template; here it is an error, not an endless loop."""
    with pytest.raises(ValueError):
        plan([Need("holding", 0, 2, 0)], 0, {"holding": 1})
