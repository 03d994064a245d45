"""What all commands share: the two consoles, the options, how the running gateway is asked, how a table looks."""

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

out = Console()
err = Console(stderr=True)

Socket = Annotated[
    Path | None, typer.Option("--socket", help="Control socket of the running gateway. 运行中网关的控制套接字")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON. 输出 JSON")]
Who = Annotated[str, typer.Option(help="Your name; it is recorded. 姓名（将被记录）")]
Why = Annotated[str, typer.Option(help="A note. 备注")]
EX_CONFIG = 78


def not_installed(missing: ModuleNotFoundError) -> typer.Exit:
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


def ask_gateway(socket: Path | None, request: dict[str, Any], as_json: bool) -> dict[str, Any] | None:
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


def command(do: str, alarm: str, who: str, why: str, socket: Path | None, **more: object) -> None:
    """Give a person's command to the running gateway and print what became of it."""
    answer = ask_gateway(socket, {"do": do, "alarm": alarm, "who": who, "why": why, **more}, as_json=False)
    if answer:
        out.print(f"done, recorded as 已记录：{answer['who']}", markup=False)


def quality(label: str) -> str:
    return f"[green]{label}[/]" if label == "good" else f"[red]{label}[/]"


def because(*reasons: dict[str, str] | None) -> str:
    """Why something is not as it should be: each reason in both languages, on its own line."""
    return "\n".join(f"{one['zh']} {one['en']}" for one in reasons if one)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, no_wrap=number == 0, overflow="fold")  # an id is copied, so it stays whole
    for row in rows:
        made.add_row(*row)
    return made
