"""The instrument's range, in every driver: a value outside keeps itself and is OUT_OF_RANGE (law 1)."""

from dataclasses import replace

import pytest

from drivers import DRIVERS, gb26875_points
from drivers.contract import Heard, Received, Wait
from drivers.gb26875_dialect import DIALECTS
from drivers.gb26875_unit import Object
from gateway.model import BusKind, Kind, Point, Quality
from tests.drivers import loading
from tests.drivers.test_golden import ASKED, HEARD, group_index

NOT_MEASURED = {"status", "duty_answer_s", "duty_operator"}
"""A status word and what a driver counts itself: there is no instrument with a range."""


def narrow(device, values):
    """The same device, whose numbers may only be greater than what its golden exchange says."""
    groups = tuple(
        replace(
            group,
            points=tuple(
                replace(point, low=values[point.name] + 1, high=values[point.name] + 2)
                if _ranged(point, values)
                else point
                for point in group.points
            ),
        )
        for group in device.groups
    )
    return replace(device, groups=groups)


def _ranged(point, values):
    measured = point.kind in (Kind.INT, Kind.FLOAT) and point.name not in NOT_MEASURED
    return measured and values.get(point.name) is not None


def held(device, index, values, scan):
    for point, value, quality in zip(device.groups[index].points, scan.values, scan.qualities, strict=True):
        if _ranged(point, values):
            assert (value, quality) == (pytest.approx(values[point.name]), Quality.OUT_OF_RANGE), point.id


@pytest.mark.parametrize(("name", "golden"), ASKED)
def test_a_driver_that_asks_holds_numbers_against_their_range(name, golden):
    values, kind = golden["values"], BusKind(golden.get("bus", "serial"))
    device = narrow(loading.device(name, golden["address"]), values)
    index = group_index(device, golden["group"])
    replies = [bytes.fromhex(step["reply"]) for step in golden["exchanges"]]

    def answer(exchange):
        own = 2 if kind is BusKind.TCP else 0
        return exchange.request[:own] + replies.pop(0)[own:]

    scan, _ = loading.run(DRIVERS[device.driver].open(device, kind)(index), answer)
    held(device, index, values, scan)


@pytest.mark.parametrize(("name", "golden"), HEARD)
def test_a_driver_that_is_spoken_to_holds_numbers_against_their_range(name, golden):
    values = golden["values"]
    device = narrow(loading.device(name, golden["address"]), values)
    index = group_index(device, golden["group"])
    for step in golden["exchanges"]:
        listening = DRIVERS[device.driver].listen({device.address: device})
        next(listening)
        said = [listening.send(Received(bytes.fromhex(step["received"]), 5.0))]
        while not isinstance(said[-1], Wait):
            said.append(next(listening))
        for item in said:
            if isinstance(item, Heard) and item.scan.group == index:
                held(device, index, values, item.scan)


@pytest.mark.parametrize(
    ("raw", "quality"), [(2500, Quality.GOOD), (3001, Quality.OUT_OF_RANGE), (-1, Quality.OUT_OF_RANGE)]
)
def test_an_analogue_value_of_a_fire_panel_is_held_against_its_range(raw, quality):
    """No template has one, so no golden exchange: a water pressure in kPa (GB/T 26875.3 table 6, type 5)."""
    at = gb26875_points.At("analogue", analogue=5)
    point = Point("d/p", "p", Kind.FLOAT, "kPa", low=0, high=300, source=at)
    one = Object(1, 1, analogue=5, value=raw)
    assert gb26875_points.read(point, one, DIALECTS["standard"]) == (raw / 10, quality)


def test_every_other_driver_that_measures_is_among_them():
    """With a number in one of its golden exchanges."""
    found = {
        loading.template(name)["driver"]
        for name, golden in (case.values for case in (*ASKED, *HEARD))
        for group in loading.device(name, golden["address"]).groups
        if any(_ranged(point, golden["values"]) for point in group.points)
    }
    assert found >= {"modbus", "bwm826", "meokon"}
