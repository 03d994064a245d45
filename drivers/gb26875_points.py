"""GB/T 26875.3-2011, what a point is: a bit of the state, or the analogue value, of one thing that a device speaks of; or
what became of the latest duty check.

Guarantees
* What is said of one thing never touches the points of another; a type or part that was cut before its state says nothing.
* A bit that the dialect does not have is NO_SUCH_REGISTER, never a reassuring 0. Bit 0 changes no other bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from drivers.gb26875_dialect import DIALECTS, Dialect
from drivers.gb26875_tables import ANALOGUES
from drivers.gb26875_unit import Object, Unit, quantity
from drivers.quality import judge
from gateway.model import Device, Kind, Point, Quality, Value

_TYPES = {"system": 1, "component": 2, "analogue": 3, "device": 21}


@dataclass(frozen=True, slots=True)
class At:
    """Which thing, and what of it: a bit of its state by name, or its analogue value. Of `duty`, the latest duty check
    (查岗), `bit` is its `outcome`, `answer_s` (how long the answer took) or the `operator` who gave it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    of: Literal["system", "component", "analogue", "device", "duty"]
    bit: str = ""
    system: int = 1
    address: int = 1
    component_address: int = 0
    """Low byte first, as `gengfu decode` shows it."""
    analogue: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    dialect: Literal["standard", "heartbeat", "dahua-1.03", "dgiot"] = "standard"
    ask: Literal["each_period", "off"] = "each_period"
    """`off` is for a device that answers no questions: it is then heard on changes alone, and silent between them."""
    answer_s: float = 10.0
    """Longest wait for an answer to what we send (clause 6.5: not over 10 s)."""
    repeats: int = 3
    """How often it is sent again."""
    set_clock_s: float = 3600.0
    """How often the device's clock is set, from its first call on, while ours can be trusted; 0: only when it asks."""
    utc_offset_h: float = 8.0
    """Local time of the device's clock, hours east of UTC."""


DUTY_KINDS = {"outcome": Kind.ENUM, "answer_s": Kind.FLOAT, "operator": Kind.INT}
OUTCOMES = 7
"""How many outcomes a duty check has: labels 0 to 6."""
Thing = tuple[str, int, int, int, int]
"""What a group is about: kind, system, address, component address, analogue type; 0 where a kind has none."""


def thing_of(at: At) -> Thing:
    inside = at.of not in ("device", "duty")
    part = at.of in ("component", "analogue")
    return (
        at.of,
        at.system if inside else 0,
        at.address if inside else 0,
        at.component_address if part else 0,
        at.analogue if at.of == "analogue" else 0,
    )


def things_of(unit: Unit) -> list[tuple[Thing, Object]]:
    """The things that an upload or answer speaks of, as far as it could be read."""
    kind = {number: name for name, number in _TYPES.items()}.get(unit.type)
    if kind is None:
        return []
    return [
        ((kind, one.system or 0, one.address or 0, one.component_address or 0, one.analogue or 0), one)
        for one in unit.objects
        if (one.value if kind == "analogue" else one.state) is not None
    ]


def read(point: Point, one: Object, dialect: Dialect) -> tuple[Value, Quality]:
    at: At = point.source
    if at.of == "analogue":
        measured = quantity(one)
        return judge(point, measured[0]) if measured else (None, Quality.NOT_A_NUMBER)
    places = {bit.name: place for place, bit in dialect.bits(_TYPES[at.of]).items()}
    if at.bit not in places:
        return None, Quality.NO_SUCH_REGISTER
    return (one.state or 0) >> places[at.bit] & 1, Quality.GOOD


_LIMITS = (("answer_s", 1, 60), ("repeats", 0, 10), ("set_clock_s", 0, 604800), ("utc_offset_h", -12, 14))


def check(device: Device) -> list[tuple[str, str]]:
    """`Driver.check`."""
    options: Options = device.options or Options()
    dialect = DIALECTS[options.dialect]
    mistakes = [
        (f"options.{name}", f"must be {low} to {high} / 必须在 {low} 到 {high} 之间")
        for name, low, high in _LIMITS
        if not low <= getattr(options, name) <= high
    ]
    try:
        dialect.address_bytes(device.address)
    except ValueError:
        mistakes.append(("address", f"is none of dialect {dialect.name} / 不是方言 {dialect.name} 的地址"))
    for group in device.groups:
        if len({thing_of(point.source) for point in group.points}) > 1:
            text = "a group's points are of one thing / 一组的点必须属于同一对象"
            mistakes.append((f"groups.{group.name}", text))
        for point in group.points:
            mistakes += [(f"points.{point.name}.{path}", text) for path, text in _point_mistakes(point, dialect)]
    return mistakes


def _point_mistakes(point: Point, dialect: Dialect) -> list[tuple[str, str]]:
    at: At = point.source
    if at.of == "duty":
        return _duty_mistakes(point, at)
    mistakes = []
    analogue = at.of == "analogue"
    wanted = Kind.FLOAT if analogue else Kind.BOOL
    if point.kind is not wanted:
        mistakes.append(("kind", f"{at.of} is {wanted} / {at.of} 应为 {wanted}"))
    names = [bit.name for bit in dialect.bits(_TYPES[at.of]).values()]
    if not analogue and at.bit not in names:
        mistakes.append(("at.bit", f"one of {', '.join(names)} / 应为其中之一"))
    if analogue and at.analogue not in ANALOGUES:
        mistakes.append(("at.analogue", f"1 to {max(ANALOGUES)} / 应为 1 到 {max(ANALOGUES)}"))
    for name, most in (("system", 255), ("address", 255), ("component_address", 0xFFFFFFFF)):
        if not 0 <= getattr(at, name) <= most:
            mistakes.append((f"at.{name}", f"must be 0 to {most} / 必须在 0 到 {most} 之间"))
    return mistakes


def _duty_mistakes(point: Point, at: At) -> list[tuple[str, str]]:
    if at.bit not in DUTY_KINDS:
        return [("at.bit", f"one of {', '.join(DUTY_KINDS)} / 应为其中之一")]
    if point.kind is not DUTY_KINDS[at.bit]:
        wanted = DUTY_KINDS[at.bit]
        return [("kind", f"{at.bit} is {wanted} / {at.bit} 应为 {wanted}")]
    if point.kind is Kind.ENUM and [value for value, _ in point.labels] != list(range(OUTCOMES)):
        return [("labels", f"must be 0 to {OUTCOMES - 1}, as in gb26875_device / 应为 0 到 {OUTCOMES - 1}")]
    return []
