"""``gengfu peek``: one device's registers and values, live, and what a display's value can be."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group as RichGroup
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text as Plain

from gateway import config
from gateway.commands.console import AsJson, Socket, Who, Why, err, out, quality, table
from gateway.commands.field import BusName, Port, Rtu, Tcp, chosen, opened, spec_of, told
from gateway.model import Text
from gateway.tables import value_text
from gateway.tools import choosing, peeking, scanning
from gateway.tools import guess as guessing
from gateway.tools.channel import ToolError
from gateway.tools.lines import LentLine, OwnLine


def peek(
    device: Annotated[str, typer.Argument(help="Device id, or an address (with --register). 设备编号或地址")],
    site: Annotated[
        Path | None, typer.Option("--stand-alone", help="Site file; opens the line itself. 站点文件，独占打开")
    ] = None,
    port: Port = "",
    tcp: Tcp = "",
    rtu: Rtu = False,
    bus: BusName = "",
    baud: Annotated[int, typer.Option(help="Speed of --port. 波特率")] = 9600,
    parity: Annotated[str, typer.Option(help="Parity of --port. 校验")] = "N",
    register: Annotated[
        int | None, typer.Option(help="First register of an address, from 0. 起始寄存器（从 0 起）")
    ] = None,
    count: Annotated[int, typer.Option(help="How many. 数量", min=1, max=125)] = 10,
    of: Annotated[str, typer.Option("--table", help="holding, input, coil or discrete. 寄存器表")] = "holding",
    shown: Annotated[str, typer.Option("--guess", help="What the display says: 23.6. 仪表显示值")] = "",
    choose: Annotated[int | None, typer.Option(help="Take this guess. 采用第几个", min=1)] = None,
    template: Annotated[Path | None, typer.Option(help="Template file to write it into. 写入的模板文件")] = None,
    point: Annotated[str, typer.Option(help="Name of the new point. 测点名")] = "value",
    once: Annotated[bool, typer.Option("--once", help="Look once. 只看一次")] = False,
    who: Who = "",
    why: Why = "",
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Raw and decoded registers of a device, live; what a display's value can be. 查看寄存器原始值与解码值

    Exit status: 0 it answered, 1 it did not or no decoding fits, 78 the site or template file has mistakes.
    """
    with told(), ExitStack() as stack:
        look = _look(stack, device, site, port, tcp, rtu, bus, baud, parity, register, count, of, socket, who, why)
        groups = look()
        if shown:
            _guessed(groups, shown, choose, template, point, as_json=as_json)
        elif as_json:
            told_json = {"device": device, "groups": [group.to_json() for group in groups]}
            sys.stdout.write(json.dumps(told_json, ensure_ascii=False, indent=1) + "\n")
        elif once or not out.is_terminal:
            out.print(_picture(device, groups))
        else:
            with Live(_picture(device, groups), console=out, auto_refresh=False) as live:
                while True:
                    time.sleep(1.0)
                    live.update(_picture(device, look()), refresh=True)
        if not any(group.quality == "good" or group.words for group in groups):
            raise typer.Exit(1)


def _look(
    stack: ExitStack,
    device: str,
    site: Path | None,
    port: str,
    tcp: str,
    rtu: bool,
    bus: str,
    baud: int,
    parity: str,
    register: int | None,
    count: int,
    of: str,
    socket: Path | None,
    who: str,
    why: str,
) -> peeking.Look:
    """How to look at what was named. Raises `ToolError`."""
    if of not in peeking.FUNCTIONS:
        raise ToolError(
            Text(f"寄存器表须为 {'、'.join(peeking.FUNCTIONS)}", f"--table is {', '.join(peeking.FUNCTIONS)}")
        )
    if register is not None and not (device.isdecimal() and 1 <= int(device) <= 247 and 0 <= register <= 65535):
        raise ToolError(Text("按寄存器查看需要地址 1–247", "--register needs an address, 1 to 247"))
    if port or tcp:
        if register is None:
            raise ToolError(Text("请用 --register 指定寄存器", "say which registers (--register)"))
        line = stack.enter_context(OwnLine(scanning.own_spec(port, tcp, "line-1", baud, parity, rtu=rtu)))
        return peeking.raw(line, int(device), of, register, count)
    if site is not None:
        loaded = config.load(site)
        found = next((one for one in loaded.devices if one.id == device), None)
        if found is None:
            known = ", ".join(one.id for one in loaded.devices)
            raise ToolError(Text(f"没有设备 {device}；已有：{known}", f"no device {device}; known: {known}"))
        spec = next(spec for spec in loaded.buses if spec.id == found.bus)
        return peeking.own(stack.enter_context(OwnLine(spec)), found)
    channel = stack.enter_context(opened(socket, "peek", who, why))
    if register is None:
        return peeking.lent(channel, device)
    spec = chosen([spec_of(row) for row in channel.about["buses"] if row["kind"] != "listen"], bus)[0]
    return peeking.raw(LentLine(channel, spec), int(device), of, register, count)


def _picture(device: str, groups: list[peeking.Group]) -> RichGroup:
    parts: list[RenderableType] = []
    for group in groups:
        rows = [(word_table, str(register), f"{raw:04X}", str(raw)) for word_table, register, raw in group.words]
        if rows:
            parts.append(
                table(f"{device} {group.name}", ("table 表", "register 寄存器", "hex", "decimal 十进制"), rows)
            )
        for way, data in () if rows else group.wire:
            parts.append(Plain(f"{way} {data.hex(' ')}"))
        points = [
            (row["name"], row["text"]["zh"], value_text(row), quality(row["quality"]), json.dumps(row["at"]))
            for row in group.points
        ]
        if points:
            parts.append(
                table(f"{device} {group.name}", ("point 测点", "名称", "value 数值", "quality 质量", "at 位置"), points)
            )
        if group.why or not (rows or points):
            parts.append(Plain(f"{group.name}: {group.quality} {group.why}"))
    return RichGroup(*parts)


def _guessed(
    groups: list[peeking.Group], shown: str, choose: int | None, template: Path | None, point: str, *, as_json: bool
) -> None:
    """The decodings of what was read, next to what the display says; one of them into a template."""
    try:
        display = float(shown)
    except ValueError:
        raise ToolError(Text("--guess 须为数字", "--guess takes a number")) from None
    found = [
        (word_table, guess)
        for group in groups
        for word_table, first, content in peeking.runs(group.words)
        if word_table in ("holding", "input")
        for guess in guessing.guesses(first, content, display, guessing.decimals(shown))
    ][:20]
    if as_json:
        rows_json = [{"table": word_table, **guess._asdict()} for word_table, guess in found]
        sys.stdout.write(json.dumps({"shown": display, "guesses": rows_json}, indent=1) + "\n")
    else:
        rows = [
            (
                str(number),
                word_table,
                str(one.register),
                one.type,
                one.word_order or "-",
                f"{one.scale:g}",
                f"{one.value:g}",
            )
            for number, (word_table, one) in enumerate(found, 1)
        ]
        columns = ("#", "table 表", "register 寄存器", "type 类型", "order 字序", "scale 倍率", "value 数值")
        out.print(table(f"{shown} can be 可能是", columns, rows))
    if not found:
        raise ToolError(Text("没有与显示值接近的解码", "no decoding is near to what the display says"))
    if choose is None:
        return
    if choose > len(found):
        raise ToolError(Text(f"只有 {len(found)} 个候选", f"there are only {len(found)}"))
    word_table, one = found[choose - 1]
    if template is None:
        sys.stdout.write(choosing.snippet(one, word_table, point, "status"))
        return
    choosing.write(template, one, word_table, point)
    err.print(f"wrote 已写入 {template}: {point}", markup=False)
