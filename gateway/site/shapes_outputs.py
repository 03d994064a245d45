"""The shape of the `outputs` and `keys` of a site file: the guard room's lamps, sounders and keys.

There is no other kind of output: nothing here opens a door, calls a lift or stops a fan.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator

from gateway.annunciator import LONGEST_ON_S
from gateway.model import Text
from gateway.site.shape import File, Id, PointId, Shape, field, scalar

AlarmClassName: TypeAlias = Literal["fire", "personal", "entrapment", "intrusion", "lift", "slope", "water", "fault"]


class GpioShape(Shape):
    title = Text("一根 GPIO 线", "A line of a GPIO chip")
    chip: File = field("芯片的设备路径，如 /dev/gpiochip0", "path of the chip, such as /dev/gpiochip0")
    line: int = field("线号", "number of the line", ge=0, le=65535)
    active_low: bool = field("低电平为动作", "active is low", False)


class OutputShape(Shape):
    title = Text("输出：值班室的声、光", "An output: a sounder or lamp of the guard room")
    id: Id = field("输出编号", "identity")
    kind: Literal["sounder", "lamp"] = field(
        "sounder 声：响到确认或消音；lamp 光：未送达平台闪亮，送达后常亮",
        "sounder: until acknowledged or silenced; lamp: flashes until the district has it, then steady",
    )
    classes: list[AlarmClassName] = field("用于哪些类别的报警", "for alarms of these classes", min_length=1)
    point: PointId | None = field(
        "继电器的测点（模板中 output: true）", "point of a relay that its template declares as an output", None
    )
    gpio: GpioShape | None = field("或一根 GPIO 线", "or a GPIO line", None)
    longest_on_s: float | None = field(
        f"声：最后一次报警后最长响多久，默认 {LONGEST_ON_S:g}",
        f"sounder: longest on-time after the last call, {LONGEST_ON_S:g} by default",
        None,
        ge=10,
        le=86400,
    )
    fail: Literal["off", "hold"] = field(
        "网关正常停止时：off 断开，hold 保持（崩溃、断电时见 docs/guard-room.md）",
        "when the gateway is stopped in order: off, or as it is (after a crash or power cut: docs/guard-room.md)",
        "off",
    )


class KeyShape(Shape):
    title = Text("按键：确认并消音", "A key: acknowledges and silences")
    id: Id = field("按键编号", "identity")
    classes: list[AlarmClassName] = field("对哪些类别的报警有效", "for alarms of these classes", min_length=1)
    point: PointId | None = field("输入测点", "point of an input", None)
    gpio: GpioShape | None = field("或一根 GPIO 线", "or a GPIO line", None)
    pressed: Annotated[bool | int | float | str, BeforeValidator(scalar)] = field(
        "按下时测点的值", "value of the point when pressed", True
    )


Ended: TypeAlias = OutputShape | KeyShape
