"""Reads a device model's template file: which points it has, and for Modbus where they lie.

Of a template the simulator takes ``driver``, the points' ``name`` and, for Modbus, ``at``; the rest is the gateway's.
Every mistake is a ValueError that names the file, the point and the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from firmware_sim.registers import ORDERS, PointMap, Table, Type

BIT_TABLES = (Table.COIL, Table.DISCRETE)


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    driver: str
    names: tuple[str, ...]
    maps: tuple[PointMap, ...]
    """Empty unless `driver` is modbus."""
    points: tuple[Mapping[str, Any], ...] = ()
    """As the file has them."""


def load(directory: Path, name: str) -> Template:
    """The template `name` of a directory; ValueError when it is not there or cannot be understood."""
    path = directory / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"there is no template {name!r} ({path.name} in {directory})")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        driver, points = str(content["driver"]), list(content["points"])
        names = tuple(str(point["name"]) for point in points)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: needs driver, and points with a name each ({error})") from None
    maps = tuple(_map(path.name, point) for point in points) if driver == "modbus" else ()
    return Template(name, driver, names, maps, tuple(points))


def _map(file: str, point: Mapping[str, Any]) -> PointMap:
    name, at = str(point["name"]), point.get("at")
    try:
        if not isinstance(at, Mapping):
            raise TypeError("at: is missing")
        table = Table(at["table"])
        low, high = at["bits"] if "bits" in at else (at.get("bit"), at.get("bit"))
        kind = Type(at.get("type", "bit" if table in BIT_TABLES else "uint16"))
        order = str(at.get("word_order", "ABCD"))
        if order not in ORDERS:
            raise ValueError(f"word_order: {order!r} is none of {', '.join(ORDERS)}")
        return PointMap(
            name=name,
            table=table,
            register=int(at["register"]),
            type=Type.UINT16 if kind is Type.BIT and low is not None else kind,
            low_bit=low,
            high_bit=high,
            word_order=order,
            scale=float(at.get("scale", 1)),
            offset=float(at.get("offset", 0)),
            not_available=at.get("not_available"),
            registers=int(at.get("registers", 1)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: point {name}: {error}") from None
