"""Commands about a site file or a machine, which need no running gateway: run, check, demo, pki, decode."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.console import EX_CONFIG, AsJson, err, not_installed, out, table
from gateway.errors import ConfigError, Mistake

if TYPE_CHECKING:  # what only some commands need is imported by them
    from gateway.check import CheckReport
    from gateway.config import Site
    from rules.scenario import Scenario


def run(site: Annotated[Path, typer.Argument(help="Site file. 站点文件")]) -> None:
    """Run the gateway. 运行网关"""
    from gateway.app import run as daemon

    raise typer.Exit(daemon(site))


def check(
    site: Annotated[Path, typer.Argument(help="Site file. 站点文件")],
    as_json: AsJson = False,
) -> None:
    """Check a site file: every mistake at once, what is unwise, and what the site will do. 检查站点文件

    Exit status: 0 no mistake (warnings do not count), 78 mistakes.
    """
    from gateway import check as checking
    from gateway import config

    report, mistakes, warned = None, [], []
    try:
        loaded = config.load(site)
    except ConfigError as error:
        mistakes = error.mistakes
    else:
        report, mistakes = checking.report(loaded), config.uplink_mistakes(loaded)
        warned = _warnings(loaded, report)
    if as_json:
        told, advice = ([asdict(one) for one in ones] for ones in (mistakes, warned))
        answer = {"ok": not mistakes, "mistakes": told, "warnings": advice, "site": report and report.to_json()}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1) + "\n")
    else:
        for one in report.tables() if report else ():
            out.print(table(one.title, one.columns, one.rows))
        for warning in warned:
            out.print(f"warning 警告 {warning}", markup=False, highlight=False, soft_wrap=True)
        for mistake in mistakes:
            err.print(str(mistake), markup=False, highlight=False, soft_wrap=True)
        if mistakes:
            err.print(f"{len(mistakes)} mistake(s); nothing was changed. 共 {len(mistakes)} 处错误，未作任何更改。")
        else:
            out.print("no mistakes 无错误")
    if mistakes:
        raise typer.Exit(EX_CONFIG)


def _warnings(site: Site, report: CheckReport) -> list[Mistake]:
    """What is unwise about a site that has no mistakes, and what is wrong with its scenario files."""
    from gateway import lint
    from gateway.judged import judged
    from gateway.site import scenarios

    rules = judged(site)
    tried: list[Scenario] = []
    wrong: list[Mistake] = []
    for path in scenarios.beside(site.source):
        try:
            tried += scenarios.load(path, rules)
        except ConfigError as error:
            wrong += error.mistakes
    return lint.warnings(site, report, scenarios.uncovered(rules, tried)) + wrong


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
        raise not_installed(missing) from None

    raise typer.Exit(play(seconds, keep, report, picture))


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
        raise not_installed(missing) from None
    out.print(made, markup=False)


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
