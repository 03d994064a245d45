"""Commands of the technician on the lines: scan, peek, record, replay. With a running gateway through its control socket, in
idle slots; without one (stand-alone) on a port of one's own."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group as RichGroup
from rich.console import RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text as Plain

from gateway import config
from gateway.commands.console import AsJson, Socket, Who, Why, control_socket, err, out, quality, table
from gateway.errors import ConfigError
from gateway.model import BusKind, BusSpec, Text
from gateway.tables import value_text
from gateway.tools import choosing, fitting, peeking, scanning
from gateway.tools import draft as drafting
from gateway.tools import guess as guessing
from gateway.tools.channel import Channel, ToolError
from gateway.tools.lines import LentLine, OwnLine

Site = Annotated[
    Path | None, typer.Argument(help="Site file: its lines are opened, stand-alone. 站点文件（独占打开其线路）")
]
Port = Annotated[str, typer.Option("--port", help="Serial port, stand-alone. 串口")]
Tcp = Annotated[str, typer.Option("--tcp", help="HOST:PORT of a Modbus TCP server, stand-alone. 主机:端口")]
BusName = Annotated[str, typer.Option("--bus", help="Only this line of the site. 只用这条线路")]


@contextmanager
def told() -> Iterator[None]:
    """What a tool cannot do is said in both languages; exit status 1. An interrupted one leaves the port free."""
    try:
        yield
    except ToolError as error:
        err.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except ConfigError as error:
        for mistake in error.mistakes:
            err.print(str(mistake), markup=False, soft_wrap=True)
        raise typer.Exit(78) from None
    except KeyboardInterrupt:
        err.print("stopped 已停止")
        raise typer.Exit(130) from None


def opened(socket: Path | None, tool: str, who: str, why: str) -> Channel:
    """The running gateway, which records who uses the tool. Raises `ToolError`."""
    path = control_socket(socket)
    try:
        return Channel(path, tool, who or getpass.getuser(), why)
    except OSError as error:
        raise ToolError(
            Text(
                f"{path} 无网关应答（{error.strerror or error}）；没有运行的网关时请用 --port、--tcp 或站点文件",
                f"no gateway answers at {path} ({error.strerror or error}); without a running gateway name a --port, --tcp "
                "or site file",
            )
        ) from None


@contextmanager
def bar() -> Iterator[scanning.Tell]:
    """A progress bar with the time left, on the error stream."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("", total=1)
        before = ""

        def tell(step: scanning.Step) -> None:
            nonlocal before
            if step.words != before:
                progress.reset(task)
                before = step.words
            progress.update(task, description=step.words, completed=step.done, total=step.of)

        yield tell


def scan(
    site: Site = None,
    port: Port = "",
    tcp: Tcp = "",
    bus: BusName = "",
    baud: Annotated[int, typer.Option(help="Speed to try first. 首选波特率")] = 9600,
    parity: Annotated[str, typer.Option(help="Parity to try first: N, E or O. 首选校验")] = "N",
    first: Annotated[int, typer.Option("--from", help="First address. 起始地址", min=1, max=247)] = 1,
    last: Annotated[int, typer.Option("--to", help="Last address. 结束地址", min=1, max=247)] = 247,
    every: Annotated[bool, typer.Option("--all", help="Every speed and parity. 尝试所有波特率和校验")] = False,
    thorough: Annotated[bool, typer.Option(help="Wait 0.6 s for everybody. 每个地址等待 0.6 秒")] = False,
    write: Annotated[Path | None, typer.Option("--draft", help="Write a draft site file. 生成站点文件草稿")] = None,
    who: Who = "",
    why: Why = "",
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Who answers on the lines: addresses, speeds, doubles, noise, probable templates. 扫描线路上的设备

    Exit status: 0 somebody answered, 1 nobody or not possible, 78 the site file has mistakes.
    """
    units = range(first, last + 1)
    if write is not None and write.exists():
        err.print(f"{write} exists and is not overwritten. 文件已存在，未覆盖。", markup=False)
        raise typer.Exit(1)
    with told(), bar() as tell:
        if parity not in ("N", "E", "O"):
            raise ToolError(Text("校验须为 N、E 或 O", "parity is N, E or O"))
        known = fitting.templates(site.parent / "templates" if site else None)
        if port or tcp:
            spec = scanning.own_spec(port, tcp, bus or "line-1", baud, parity)
            scans = scanning.scan_port(spec, known, tell, units, guess=True, every=every, thorough=thorough)
        elif site is not None:
            scans = []
            for spec in _chosen([one for one in config.load(site).buses if one.kind is not BusKind.LISTEN], bus):
                scans += scanning.scan_port(spec, known, tell, units, guess=every, every=every, thorough=thorough)
        else:
            with opened(socket, "scan", who, why) as channel:
                scans = _lent(channel, known, tell, units, bus, thorough=thorough)
    _show(scans, as_json=as_json)
    if write is not None:
        write.write_text(drafting.draft(scans), encoding="utf-8")
        err.print(f"wrote 已写入 {write}", markup=False)
    if not any(one.devices for one in scans):
        raise typer.Exit(1)


def _chosen(specs: list[BusSpec], bus: str) -> list[BusSpec]:
    chosen = [spec for spec in specs if not bus or spec.id == bus]
    if not chosen:
        names = ", ".join(spec.id for spec in specs)
        raise ToolError(Text(f"没有线路 {bus}；已有：{names}", f"no line {bus}; known: {names}"))
    return chosen


def _lent(
    channel: Channel, known: dict[str, Any], tell: scanning.Tell, units: range, bus: str, *, thorough: bool
) -> list[scanning.Scanned]:
    """Through the running gateway, at the speed of the line as it is configured."""
    specs = [spec_of(row) for row in channel.about["buses"] if row["kind"] != "listen"]
    scans = []
    for spec in _chosen(specs, bus):
        one = scanning.scan_line(LentLine(channel, spec), known, tell, units, thorough=thorough)
        names = {row["address"]: row["id"] for row in channel.about["devices"] if row["bus"] == spec.id}
        for device in one.devices:
            device.configured = names.get(device.address, "")
        scans.append(one)
    return scans


def spec_of(row: dict[str, Any]) -> BusSpec:
    """A line as the running gateway tells it."""
    return BusSpec(
        row["id"],
        BusKind(row["kind"]),
        port=row["port"],
        baud=row["baud"],
        parity=row["parity"],
        stop_bits=row["stop_bits"],
        host=row["host"],
        tcp_port=row["tcp_port"],
        reply_timeout_s=row["reply_timeout_s"],
        rtu=row["rtu"] and row["kind"] == "tcp",
    )


def _show(scans: list[scanning.Scanned], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"lines": [one.to_json() for one in scans]}, ensure_ascii=False, indent=1) + "\n")
        return
    words = {"yes": "TWICE 地址重复", "perhaps": "twice? 地址可能重复", "": ""}
    for one in scans:
        spec = one.spec
        setting = f" {spec.baud} 8{spec.parity}{spec.stop_bits}" if spec.kind is BusKind.SERIAL else ""
        if one.refused:
            out.print(f"{spec.id}{setting}: {one.refused}", markup=False)
            continue
        rows = [
            (
                str(device.address),
                f"{device.after_s * 1000:.0f} ms",
                words[device.twice],
                " ".join(device.identity.values()),
                device.configured or _fit_words(device),
            )
            for device in one.devices
        ]
        title = f"{spec.id}{setting}: {len(rows)} of {one.asked} answer 应答, {one.took_s:.1f} s"
        out.print(table(title, ("address 地址", "after 延时", "", "says 标识", "device or template 设备或模板"), rows))
        if one.suspects:
            named = ", ".join(map(str, one.suspects))
            out.print(f"damaged answers only 只有损坏的应答: {named} (two devices? 两台设备？)", markup=False)
        if one.noise_bytes or one.noisy:
            out.print(
                f"noise 噪声: {one.noise_bytes} bytes in silence 静默时字节, {one.noisy} disturbed asks 受扰询问",
                style="yellow",
            )
        if one.echo:
            out.print("the adapter returns our own requests (echo: true) 转换器回显", markup=False)


def _fit_words(device: scanning.Device) -> str:
    shown = [f"{fit.template} {fit.good}/{fit.of}" for fit in device.fits[:3]]
    more = f" +{len(device.fits) - 3}" if len(device.fits) > 3 else ""
    unsure = " ?" if len(device.fits) != 1 or device.fits[0].share < 1 else ""
    return "\n".join(shown) + more + unsure


def peek(
    device: Annotated[str, typer.Argument(help="Device id, or an address (with --register). 设备编号或地址")],
    site: Annotated[
        Path | None, typer.Option("--stand-alone", help="Site file; opens the line itself. 站点文件，独占打开")
    ] = None,
    port: Port = "",
    tcp: Tcp = "",
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
        look = _look(stack, device, site, port, tcp, bus, baud, parity, register, count, of, socket, who, why)
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
        line = stack.enter_context(OwnLine(scanning.own_spec(port, tcp, "line-1", baud, parity)))
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
    spec = _chosen([spec_of(row) for row in channel.about["buses"] if row["kind"] != "listen"], bus)[0]
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
