"""Templates and devices for the tests of drivers, without the gateway's configuration: a second, small reader."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter

import drivers
from drivers import DRIVERS, contract
from gateway.errors import BusError
from gateway.model import Device, Group, Kind, Point, PointClass, Quality, Text

DIRECTORY = Path(drivers.__file__).parent / "templates"
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


@cache
def template(name):
    return yaml.safe_load((DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8"))


def point(shape, at, device="d"):
    low, high = shape.get("range", (None, None))
    return Point(
        f"{device}/{shape['name']}",
        shape["name"],
        Kind(shape["kind"]),
        shape.get("unit", ""),
        PointClass(shape.get("class", "measurement")),
        Text(**shape["text"]),
        low,
        high,
        labels=tuple(shape.get("labels", {}).items()),
        source=at,
    )


@cache
def device(name, address, id="d", **options):
    """The device that a template describes."""
    content = template(name)
    driver = DRIVERS[content["driver"]]
    made = [
        (shape["group"], point(shape, TypeAdapter(driver.at).validate_python(shape["at"]), id))
        for shape in content["points"]
    ]
    groups = tuple(
        Group(key, tuple(point for group, point in made if group == key), shape["period_s"], shape.get("safety", False))
        for key, shape in content["groups"].items()
    )
    chosen = TypeAdapter(driver.options).validate_python(content.get("options", {}) | options)
    return Device(id, "bus", content["driver"], address, groups, options=chosen)


def modbus(points, address=1, **options):
    """A Modbus device of one group; `points` are (name, kind, At, keyword arguments of Point)."""
    made = tuple(Point(f"d/{name}", name, Kind(kind), source=at, **more) for name, kind, at, more in points)
    return Device("d", "bus", "modbus", address, (Group("g", made, 1.0),), options=DRIVERS["modbus"].options(**options))


def run(poll, answer, at=100.0):
    """Drives a generator: `answer(exchange)` gives the reply's bytes or raises. Returns (result, exchanges).

    Plays the bus: a frame that the framing refuses, or that is shorter than it says, never becomes a reply.
    """
    exchanges = []
    try:
        exchange = next(poll)
        while True:
            exchanges.append(exchange)
            try:
                data = framed(exchange, answer(exchange))
            except BusError as error:
                exchange = poll.throw(error)
            else:
                at += 1.0
                exchange = poll.send(contract.Reply(data, at))
    except StopIteration as stop:
        return stop.value, exchanges


def framed(exchange, data):
    """What the bus gives to the driver of these bytes; a BusError when it would give none."""
    for size in range(1, len(data) + 1):
        length = exchange.framing(data[:size])
        assert length >= 1
        if length <= size:
            if exchange.mine is None or exchange.mine(data[:size]):
                return data[:size]
            break
    raise BusError(Quality.NOT_RESPONDING, "no reply")
