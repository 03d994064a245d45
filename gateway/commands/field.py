"""Commands of the technician on the lines: scan, peek, record, replay. With a running gateway through its control socket, in
idle slots; without one (stand-alone) on a port of one's own."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway import config
from gateway.commands.console import AsJson, Socket, Who, Why, control_socket, err, out, table
from gateway.errors import ConfigError
from gateway.model import BusKind, BusSpec, Text
from gateway.tables import plain
from gateway.tools import draft as drafting
from gateway.tools import fitting, recorder, replaying, scanning
from gateway.tools import recording as recordings
from gateway.tools.channel import Channel, ToolError
from gateway.tools.lines import LentLine

Site = Annotated[
    Path | None, typer.Argument(help="Site file: its lines are opened, stand-alone. 站点文件（独占打开其线路）")
]
Port = Annotated[str, typer.Option("--port", help="Serial port, stand-alone. 串口")]
Tcp = Annotated[str, typer.Option("--tcp", help="HOST:PORT of a Modbus TCP or serial server, stand-alone. 主机:端口")]
Rtu = Annotated[bool, typer.Option("--rtu", help="--tcp is a serial server (RTU over TCP). 串口服务器透传")]
BusName = Annotated[str, typer.Option("--bus", help="Only this line of the site. 只用这条线路")]

INSTALLED = Path("/etc/gengfu/site.yaml")


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
    rtu: Rtu = False,
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
            spec = scanning.own_spec(port, tcp, bus or "line-1", baud, parity, rtu=rtu)
            scans = scanning.scan_port(spec, known, tell, units, guess=True, every=every, thorough=thorough)
        elif site is not None:
            scans = []
            for spec in chosen([one for one in config.load(site).buses if one.kind is not BusKind.LISTEN], bus):
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


def chosen(specs: list[BusSpec], bus: str) -> list[BusSpec]:
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
    for spec in chosen(specs, bus):
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
                plain(" ".join(device.identity.values())),
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


def record(
    target: Annotated[
        str, typer.Argument(help="Device, line, or a line's port; all, when left out. 设备、线路或其串口")
    ] = "",
    site: Annotated[
        Path | None, typer.Option("--stand-alone", help="Site file; opens the line itself. 站点文件，独占打开")
    ] = None,
    for_s: Annotated[str, typer.Option("--for", help="How long: 60s, 5m. 时长")] = "60s",
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write. 输出文件")] = Path("recording.jsonl"),
    who: Who = "",
    why: Why = "",
    socket: Socket = None,
) -> None:
    """Write down what is read: values, and bytes where no texts are told. 录制现场数据（不含个人信息）

    Exit status: 0 written, 1 nothing was heard or not possible, 78 the site file has mistakes.
    """
    with told():
        lasting_s = _seconds(for_s)
        try:
            file = output.open("x", encoding="utf-8")
        except OSError as error:
            raise ToolError(Text(f"无法新建 {output}：{error}", f"cannot make {output}: {error}")) from None
        try:
            with file, bar() as tell:
                if site is not None:
                    events = recorder.alone(file, config.load(site), target, lasting_s, tell)
                else:
                    with opened(socket, "record", who, why) as channel:
                        events = recorder.live(file, channel, target, lasting_s, tell)
        finally:
            if not output.stat().st_size:  # it never began; the next try must not find its place taken
                output.unlink()
        err.print(f"wrote 已写入 {output}: {events} events 条", markup=False)
        if not events:
            raise typer.Exit(1)


def _seconds(text: str) -> float:
    number, unit = (text[:-1], text[-1:]) if text[-1:] in "smh" else (text, "s")
    if not number.isdecimal() or not 0 < int(number) * {"s": 1, "m": 60, "h": 3600}[unit] <= 86400:
        raise ToolError(Text("--for 须为 1s 至 24h，例如 60s、5m", "--for is 1s to 24h, such as 60s or 5m"))
    return float(int(number) * {"s": 1, "m": 60, "h": 3600}[unit])


def _site(given: Path | None, rules: Path | None) -> Path:
    """The site of a recording: given, the installed one, or the one whose rules are asked for."""
    if given is None:
        given = INSTALLED if INSTALLED.exists() else rules
    if given is None:
        raise ToolError(Text("请用 --site 指定站点文件", "name a site file: --site"))
    return given


def replay(
    file: Annotated[Path, typer.Argument(help="Recording. 录制文件")],
    site: Annotated[
        Path | None,
        typer.Option("--site", help="Site file with the devices and rules; default: the installed one. 站点文件"),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="Another site file, to compare its rules. 另一站点文件，用于比较规则")
    ] = None,
    golden: Annotated[
        str, typer.Option(help="Print this device's polls as golden exchanges. 输出该设备的验证报文")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """What drivers and rules make of a recording: alarms that would have been raised. 回放录制，显示会产生的报警

    Exit status: 0 replayed, 1 no such recording or nothing in it fits the site, 78 a site file has mistakes.
    """
    with told():
        recording = recordings.load(file)
        loaded = config.load(_site(site, rules))
        if golden:
            if golden not in {device.id for device in loaded.devices}:
                raise ToolError(Text(f"没有设备 {golden}", f"no device {golden}"))
            text = replaying.golden(recording, loaded, golden)
            sys.stdout.write(text)
            raise typer.Exit(0 if text else 1)
        points = replaying.recorded_points(recording, loaded)
        outcomes = {"now": replaying.replay(recording, loaded, points)}
        if rules is not None:
            outcomes["new"] = replaying.replay(recording, config.load(rules), points)
    rows = _changes(outcomes)
    first = outcomes["now"]
    counts = {"scans": first.scans, "from_bytes": first.played, "skipped": first.skipped}
    for name, outcome in outcomes.items():
        for why in outcome.unfit[:20]:
            err.print(plain(f"{name}: {why.en} / {why.zh}"), markup=False)
    if as_json:
        sys.stdout.write(json.dumps({**counts, "transitions": rows}, ensure_ascii=False, indent=1) + "\n")
    else:
        said = f"{first.scans} scans 次读取, {first.played} from bytes 来自报文, {first.skipped} skipped 跳过"
        shown = [(f"{row['t']:.2f} s", row["alarm"], row["before"], row["after"], row["in"]) for row in rows]
        out.print(table(said, ("at 时刻", "alarm 报警", "from 原状态", "to 新状态", "rules 规则"), shown))
    if not first.scans:
        raise typer.Exit(1)


def _changes(outcomes: dict[str, replaying.Replayed]) -> list[dict[str, Any]]:
    """Every transition once, with the rules that make it: both, or only ``now`` or ``new``."""
    rows: dict[tuple[float, str, str, str], list[str]] = {}
    for name, outcome in outcomes.items():
        for one in outcome.transitions:
            rows.setdefault((round(one.at, 3), one.alarm, one.before.value, one.after.value), []).append(name)
    return [
        {"t": at, "alarm": alarm, "before": before, "after": after, "in": "+".join(names)}
        for (at, alarm, before, after), names in sorted(rows.items())
    ]
