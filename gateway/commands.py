"""The commands of ``gengfu`` for people: typer for the arguments, rich for the tables. The daemon never imports this."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.control import ask
from gateway.errors import ConfigError
from gateway.tables import alarm_table, value_text

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Gengfu 更夫, the night watchman: reads the compound's sensors, raises alarms on the spot, tells the district.",
)
pki = typer.Typer(no_args_is_help=True, help="Test certificates 测试证书 (not for production 不得用于生产).")
app.add_typer(pki, name="pki")
out = Console()
err = Console(stderr=True)

Socket = Annotated[
    Path | None, typer.Option("--socket", help="Control socket of the running gateway. 运行中网关的控制套接字")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON. 输出 JSON")]
EX_CONFIG = 78


@app.command()
def run(site: Annotated[Path, typer.Argument(help="Site file. 站点文件")]) -> None:
    """Run the gateway. 运行网关"""
    from gateway.app import run as daemon

    raise typer.Exit(daemon(site))


@app.command()
def check(
    site: Annotated[Path, typer.Argument(help="Site file. 站点文件")],
    as_json: AsJson = False,
) -> None:
    """Check a site file: every mistake at once, and what the site will do. 检查站点文件"""
    from gateway import check as checking
    from gateway import config

    report, mistakes = None, []
    try:
        loaded = config.load(site)
    except ConfigError as error:
        mistakes = error.mistakes
    else:
        report, mistakes = checking.report(loaded), config.uplink_mistakes(loaded)
    if as_json:
        told = [{"file": m.file, "line": m.line, "path": m.path, "en": m.en, "zh": m.zh} for m in mistakes]
        answer = {"ok": not mistakes, "mistakes": told, "site": report and report.to_json()}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1) + "\n")
    else:
        for table in report.tables() if report else ():
            out.print(_table(table.title, table.columns, table.rows))
        for mistake in mistakes:
            err.print(str(mistake), markup=False, highlight=False, soft_wrap=True)
        if mistakes:
            err.print(f"{len(mistakes)} mistake(s); nothing was changed. 共 {len(mistakes)} 处错误，未作任何更改。")
        else:
            out.print("no mistakes 无错误")
    if mistakes:
        raise typer.Exit(EX_CONFIG)


@app.command()
def demo(
    seconds: Annotated[
        float | None, typer.Option("--for", help="Run without a terminal for so many seconds (at least 75). 运行秒数")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep logs, journal and database here. 保留数据的目录")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report (JSON) here. 报告文件")] = None,
    picture: Annotated[Path | None, typer.Option(help="Save the last table as SVG. 保存画面", hidden=True)] = None,
) -> None:
    """Run everything on simulated devices and play the story. 用模拟设备演示全部功能"""
    try:
        from gateway.demo.play import demo as play
    except ModuleNotFoundError as missing:
        raise _not_installed(missing) from None

    raise typer.Exit(play(seconds, keep, report, picture))


@pki.command("init")
def pki_init(
    directory: Annotated[Path, typer.Argument(help="Where to put them. 目录")],
    gateway: Annotated[str, typer.Option(help="Gateway id. 网关编号")] = "demo-01",
    force: Annotated[bool, typer.Option(help="Overwrite what is there. 覆盖")] = False,
) -> None:
    """Make a TEST authority with certificates for broker, gateway and district. 生成测试证书"""
    from gateway import pki as authority

    try:
        made = authority.init(directory, gateway=gateway, force=force)
    except (FileExistsError, ConfigError) as error:
        err.print(str(error), markup=False)
        raise typer.Exit(1) from None
    except ModuleNotFoundError as missing:
        raise _not_installed(missing) from None
    out.print(made, markup=False)


@app.command()
def status(socket: Socket = None, as_json: AsJson = False) -> None:
    """How the gateway is: lines, devices, uplinks, disk. 网关状态"""
    answer = _ask(socket, {"do": "status"}, as_json)
    if answer is None:
        return
    out.print(
        f"[bold]{answer['gateway']}[/]  up {answer['uptime_s']:.0f} s, clock {answer['clock']}, {answer['scans']} scans"
    )
    rows = [
        (
            d["id"],
            d["bus"],
            f"{d['text']['zh']}\n[dim]{d['text']['en']}[/]",
            f"{d['place']['zh']}\n[dim]{d['place']['en']}[/]",
            _quality(d["quality"]),
            f"{d['why_text']['zh']} {d['why_text']['en']}" if d["why"] else "",
            "simulated 模拟" if d["simulated"] else "",
        )
        for d in answer["devices"]
    ]
    out.print(
        _table(
            "Devices 设备", ("device 设备", "bus 总线", "name 名称", "place 位置", "quality 质量", "why 原因", ""), rows
        )
    )
    parts = [(name, json.dumps(part, ensure_ascii=False)) for name, part in answer["parts"].items()]
    out.print(_table("Parts 部件", ("part", "state"), parts))
    for name, fault in answer["faults"].items():
        out.print(f"fault 故障 {name}: {fault}", style="red", markup=False)


@app.command()
def alarms(socket: Socket = None, as_json: AsJson = False) -> None:
    """Alarms that are not normal, and how far each has come. 当前报警"""
    answer = _ask(socket, {"do": "alarms"}, as_json)
    if answer is None:
        return
    if not answer["alarms"]:
        out.print("no alarms 无报警")
        return
    out.print(alarm_table(answer["alarms"]))


@app.command()
def ack(
    alarm: Annotated[str, typer.Argument(help="Alarm id. 报警编号")],
    who: Annotated[str, typer.Option(help="Your name; it is recorded. 姓名（将被记录）")] = "",
    why: Annotated[str, typer.Option(help="A note. 备注")] = "",
    socket: Socket = None,
) -> None:
    """Acknowledge an alarm. 确认报警"""
    _command("acknowledge", alarm, who, why, socket)


@app.command()
def reset(
    alarm: Annotated[str, typer.Argument(help="Alarm id. 报警编号")],
    who: Annotated[str, typer.Option(help="Your name; it is recorded. 姓名（将被记录）")] = "",
    why: Annotated[str, typer.Option(help="A note. 备注")] = "",
    socket: Socket = None,
) -> None:
    """Reset a latched alarm whose cause is gone. 复位已锁存的报警"""
    _command("reset", alarm, who, why, socket)


@app.command()
def read(
    device: Annotated[str, typer.Argument(help="Device id. 设备编号")],
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """The latest values of a device, each with its quality and age. 设备的最新数值"""
    answer = _ask(socket, {"do": "read", "device": device}, as_json)
    if answer is None:
        return
    rows = [
        (
            p["id"],
            p["text"]["zh"],
            p["text"]["en"],
            value_text(p),
            _quality(p["quality"]),
            f"{p['age_s']} s" if p["age_s"] is not None else "-",
        )
        for p in answer["points"]
    ]
    out.print(_table(f"{device}", ("point", "名称", "name", "value", "quality", "age"), rows))


@app.command()
def decode(
    protocol: Annotated[str, typer.Argument(help="gb26875, modbus-rtu, modbus-tcp, bwm826 or meokon. 协议")],
    data: Annotated[
        list[str], typer.Argument(metavar="HEX", help="Bytes in hex; - reads standard input. 十六进制字节")
    ],
    dialect: Annotated[str, typer.Option(help="gb26875: whose way to speak. 厂家方言")] = "standard",
    as_json: AsJson = False,
    stream: Annotated[bool, typer.Option("--stream", help="Several frames in a row. 连续多帧")] = False,
) -> None:
    """Say in words what bytes of a wire mean, field by field. 逐字段解析报文"""
    from gateway.decode.console import run as show

    raise typer.Exit(show(protocol, " ".join(data), dialect, as_json=as_json, as_stream=stream))


def _not_installed(missing: ModuleNotFoundError) -> typer.Exit:
    """The installed gateway has only what it needs to watch."""
    err.print(
        f"needs {missing.name}, which is not installed here; run it from a checkout after `make setup`.", markup=False
    )
    err.print(f"需要 {missing.name}，此处未安装；请在源码目录执行 `make setup` 后运行。", markup=False)
    return typer.Exit(1)


def control_socket(given: Path | None) -> Path:
    """The control socket: given, $GENGFU_SOCKET, the installed one, or that of a demo running in this folder."""
    candidates = [Path("/run/gengfu/control.sock"), Path("demo-run/run/control.sock")]
    if given:
        return given
    if named := os.environ.get("GENGFU_SOCKET"):
        return Path(named)
    # os.path.exists, since Path.exists raises for who may not look into /run/gengfu
    return next((path for path in candidates if os.path.exists(path)), candidates[0])


def _quality(label: str) -> str:
    return f"[green]{label}[/]" if label == "good" else f"[red]{label}[/]"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")  # an id is copied, so it stays whole
    for row in rows:
        table.add_row(*row)
    return table


def _command(do: str, alarm: str, who: str, why: str, socket: Path | None) -> None:
    answer = _ask(socket, {"do": do, "alarm": alarm, "who": who, "why": why}, as_json=False)
    if answer:
        out.print(f"done, recorded as 已记录：{answer['who']}", markup=False)


def _ask(socket: Path | None, request: dict[str, Any], as_json: bool) -> dict[str, Any] | None:
    """The gateway's answer; None when it was printed as JSON. Exits 1 with the reason when there is none."""
    path = control_socket(socket)
    try:
        answer = ask(path, request)
    except OSError as error:
        err.print(
            f"no gateway answers at {path} ({error.strerror or error}); is it running? --socket names another.",
            markup=False,
        )
        err.print(f"{path} 无网关应答；是否在运行？可用 --socket 指定。", markup=False)
        raise typer.Exit(1) from None
    if not answer.pop("ok"):
        err.print(f"{answer['en']} / {answer['zh']}", markup=False)
        raise typer.Exit(1)
    if as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1) + "\n")
        return None
    return answer
