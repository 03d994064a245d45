"""``gengfu doctor``: the look over a machine before leaving it, and the first one when something is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands.console import EX_CONFIG, AsJson, Socket, err, out, table
from gateway.control import ask
from gateway.errors import ConfigError

COLOURS = {"pass": "green", "warn": "yellow", "fail": "red"}


def doctor(
    site: Annotated[Path, typer.Argument(help="Site file. 站点文件")] = Path("/etc/gengfu/site.yaml"),
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Clock, certificates, disk, lines, broker, district: pass, warn or fail. 体检：逐项给出 通过/注意/失败

    Exit status: 0 nothing fails, 1 something does, 78 the site file cannot be used.
    """
    from gateway import config
    from gateway import doctor as examining
    from gateway.clock import SystemClock

    try:
        loaded = config.load(site)
    except ConfigError as error:
        for mistake in error.mistakes:
            err.print(str(mistake), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EX_CONFIG) from None
    path = socket or Path(loaded.gateway.control_socket)

    def asked(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            answer = ask(path, request)
        except (OSError, ValueError):
            return None
        return answer if answer.get("ok") else None

    with err.status("looking 检查中…"):
        findings = list(examining.examine(loaded, SystemClock(), asked))
    failed = sum(one.verdict == "fail" for one in findings)
    if as_json:
        told = {"ok": not failed, "findings": [one.to_json() for one in findings]}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    else:
        rows = [
            (
                one.what,
                f"[{COLOURS[one.verdict]}]{one.verdict}[/]",
                one.zh.replace("[", "\\["),
                one.en.replace("[", "\\["),
            )
            for one in findings
        ]
        out.print(table(f"{loaded.gateway.id}", ("what 项目", "verdict 结论", "说明", "seen, and what to do"), rows))
    raise typer.Exit(int(bool(failed)))
