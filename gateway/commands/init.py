"""``gengfu init``: a few questions, then a first site file that `gengfu check` accepts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.console import EX_CONFIG, err, out
from gateway.errors import ConfigError
from gateway.first_site import Answers, District, Line, text

BY_PATH = Path("/dev/serial/by-path")
PATTERNS = ("ttyUSB*", "ttyACM*", "ttyAMA*")
INSTALLED = Path("/etc/gengfu")


def init(
    site: Annotated[Path, typer.Argument(help="Where to write it. 写到哪里")] = INSTALLED / "site.yaml",
    gateway: Annotated[str, typer.Option("--id", help="Gateway id. 网关编号")] = "",
    position: Annotated[str, typer.Option(help="Where the box is. 网关位置")] = "",
    line: Annotated[
        list[str] | None, typer.Option("--line", help="Serial port, or PORT:BAUD; may be repeated. 串口，可重复")
    ] = None,
    district: Annotated[str, typer.Option(help="Broker of the district, HOST or HOST:PORT. 区平台")] = "",
    metrics: Annotated[bool, typer.Option(help="Prometheus metrics on loopback. 本机监控指标")] = False,
    ask: Annotated[bool, typer.Option("--ask/--no-ask", help="Ask for what is not given. 询问未给出的内容")] = True,
    force: Annotated[bool, typer.Option(help="Replace a file that is there. 覆盖")] = False,
) -> None:
    """Ask a few questions and write a first site file. 回答几个问题，生成站点文件

    Exit status: 0 written, 1 not written (it exists), 78 the answers make no site file.
    """
    if site.exists() and not force and not _is_untouched(site):
        err.print(f"{site} exists; --force replaces it. 文件已存在；--force 覆盖。", markup=False)
        raise typer.Exit(1)
    ports = list(line or [])
    if ask:
        gateway = gateway or typer.prompt("Gateway id 网关编号 (letters, digits, -)", default="gengfu-01")
        position = position or typer.prompt("Where is it? 位置", default="微型消防站")
        ports = ports or _asked_ports()
        if not district:
            district = typer.prompt("District's broker 区平台 (HOST[:PORT], - for none yet 暂无)", default="-")
    installed = site.parent == INSTALLED
    answers = Answers(
        gateway or "gengfu-01",
        position,
        tuple(_line(port) for port in ports),
        _district("" if district == "-" else district),
        metrics,
        "/run/gengfu/control.sock" if installed else "run/control.sock",
        "/var/lib/gengfu/journal" if installed else "journal",
    )
    _write(site, text(answers))
    out.print(f"wrote 已写入 {site}", markup=False)
    out.print("next 下一步:  gengfu scan  →  devices 填写设备  →  gengfu check  →  gengfu run", markup=False)


def ports_here() -> list[str]:
    """Serial ports of this machine; by path where the system names them so, since that name does not change."""
    if BY_PATH.is_dir() and (named := sorted(str(path) for path in BY_PATH.iterdir())):
        return named
    return sorted(str(path) for pattern in PATTERNS for path in Path("/dev").glob(pattern))


def _asked_ports() -> list[str]:
    found = ports_here()
    for number, port in enumerate(found, 1):
        out.print(f"  {number}. {port}", markup=False)
    if not found:
        out.print("no serial port found 未发现串口", markup=False)
        return []
    given = typer.prompt("Which lines? 使用哪些线路 (1,2 … or PORT:BAUD, - none 无)", default="1")
    words = [word.strip() for word in given.replace("，", ",").split(",") if word.strip() not in ("", "-")]
    return [found[int(word) - 1] if word.isdigit() and 0 < int(word) <= len(found) else word for word in words]


def _line(given: str) -> Line:
    port, _, baud = given.rpartition(":")
    return Line(port, int(baud)) if port and baud.isdigit() and not port.endswith("usb-0") else Line(given)


def _district(given: str) -> District | None:
    if not given:
        return None
    host, _, port = given.rpartition(":")
    return District(host, int(port)) if host and port.isdigit() else District(given)


def _is_untouched(site: Path) -> bool:
    """The file that the installation put there, which watches nothing yet."""
    try:
        return "buses: []" in (text := site.read_text(encoding="utf-8")) and "devices: []" in text
    except (OSError, ValueError):
        return False


def _write(site: Path, content: str) -> None:
    """Whole or not at all, and only what `gengfu check` accepts."""
    from gateway import config

    site.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=site.parent, prefix=".init-", suffix=".yaml")
    draft = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        config.load(draft)
        draft.replace(site)
    except ConfigError as error:
        for mistake in error.mistakes:
            err.print(f"{mistake.path}: {mistake.en} / {mistake.zh}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EX_CONFIG) from None
    finally:
        draft.unlink(missing_ok=True)
