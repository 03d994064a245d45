"""Commands that hide an alarm for a time, and end it: shelve, unshelve, out-of-service, return-to-service.

Exit status: 0 done, 1 refused or no gateway answers (the reason is printed), 2 a word of the command line is wrong.
"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from gateway.commands.console import Socket, command

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(?:[0-9]{1,6}(?:\.[0-9]{1,3})?[smhd])+")
_PART = re.compile(r"([0-9.]+)([smhd])")

Alarm = Annotated[str, typer.Argument(help="Alarm id. 报警编号")]
Needed = Annotated[str, typer.Option(help="Your name; it is recorded and listed. 姓名（将被记录并列出）")]
Reason = Annotated[str, typer.Option(help="The reason; it is recorded and listed. 原因（将被记录并列出）")]
Span = Annotated[str, typer.Option("--for", metavar="TIME", help="For how long: 90s, 30m, 2h, 1h30m, 3d. 时长")]
Note = Annotated[str, typer.Option(help="A note. 备注")]


def span_s(text: str) -> float:
    """``90s``, ``30m``, ``2h``, ``1h30m``, ``3d`` in seconds; typer.BadParameter for anything else."""
    if not _SPAN.fullmatch(text):
        raise typer.BadParameter(
            f"'{text}': write a time as 90s, 30m, 2h, 1h30m or 3d. 时长请写作 90s、30m、2h、1h30m 或 3d"
        )
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))


def shelve(alarm: Alarm, for_: Span, who: Needed, why: Reason, socket: Socket = None) -> None:
    """Hide an alarm from people for a time; it is judged and recorded as ever. 搁置报警（有时限）"""
    command("shelve", alarm, who, why, socket, for_s=span_s(for_))


def unshelve(alarm: Alarm, who: Needed, why: Note = "", socket: Socket = None) -> None:
    """End the shelving of an alarm. 取消搁置"""
    command("unshelve", alarm, who, why, socket)


def out_of_service(alarm: Alarm, for_: Span, who: Needed, why: Reason, socket: Socket = None) -> None:
    """Take an alarm out of service for a repair, for a time. 停用报警（检修，有时限）"""
    command("take_out", alarm, who, why, socket, for_s=span_s(for_))


def return_to_service(alarm: Alarm, who: Needed, why: Note = "", socket: Socket = None) -> None:
    """Return an alarm to service before its time is over. 恢复使用"""
    command("return", alarm, who, why, socket)
