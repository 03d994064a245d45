"""Commands about a site file or a machine, which need no running gateway: run, demo, pki, decode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.console import AsJson, err, not_installed, out
from gateway.errors import ConfigError


def run(site: Annotated[Path, typer.Argument(help="Site file. 站点文件")]) -> None:
    """Run the gateway. 运行网关"""
    from gateway.apart import Reading
    from gateway.app import run as daemon

    raise typer.Exit(daemon(site, Reading(site)))


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
