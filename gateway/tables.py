"""Tables that more than one command shows: values with their units, alarms with how far each has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

STATES = {
    "unacknowledged": "未确认 unacknowledged",
    "acknowledged": "已确认 acknowledged",
    "returned": "已恢复未确认 returned",
    "latched_unacknowledged": "锁存未确认 latched",
    "latched_acknowledged": "锁存已确认 latched, acknowledged",
    "shelved": "搁置 shelved",
    "suppressed": "抑制 suppressed",
    "out_of_service": "停用 out of service",
}
REACHED = {
    "pending": "写入中 pending",
    "announced": "未落盘 announced, not durable",
    "committed": "已落盘 committed",
    "broker": "已到服务器 broker",
    "district": "区平台已收 district",
}
COLOURS = {"critical": "bold red", "high": "dark_orange", "medium": "yellow", "low": "blue"}


def plain(words: str) -> str:
    """What a device or a stranger says, for a cell of a table: no markup, nothing that a terminal would obey."""
    return escape("".join(letter if letter.isprintable() else "·" for letter in words))


def value_text(point: dict[str, Any]) -> str:
    """A value with its unit; a dash where there is no usable one."""
    value = point["value"]
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else plain(str(value))
    return f"{text} {point['unit']}".strip()


def _columns(table: Table, *names: str) -> None:
    """Nothing is cut off: an id is copied into the next command, and a place is where people run to."""
    for number, name in enumerate(names):
        table.add_column(name, no_wrap=number == 0, overflow="fold")


def alarm_table(rows: list[dict[str, Any]]) -> Table:
    """Alarms as a table: gravest first, in both languages, with how far each has come."""
    table = Table(title="Alarms 报警", title_justify="left")
    _columns(table, "alarm 报警", "what 内容", "since 起始", "state 状态", "reached 送达")
    for row in rows:
        since = datetime.fromtimestamp(row["since"]).strftime("%H:%M:%S")
        colour = COLOURS[row["severity"]]
        what = f"{escape(row['text']['zh'])}\n[dim]{escape(row['text']['en'])}[/]"
        table.add_row(f"[{colour}]{row['id']}[/]", what, since, STATES[row["state"]], REACHED[row["stage"]])
    return table


def aside_table(rows: list[dict[str, Any]]) -> Table:
    """What is hidden from people: how, by whom, why and until when, and what it hides."""
    table = Table(title="Hidden 已搁置、停用、抑制", title_justify="left")
    _columns(table, "alarm 报警", "what 内容", "how 方式", "hides 实际", "who 人员", "why 原因", "until 截止")
    for row in rows:
        until = "-" if row["until"] is None else datetime.fromtimestamp(row["until"]).strftime("%m-%d %H:%M:%S")
        what = f"{escape(row['text']['zh'])}\n[dim]{escape(row['text']['en'])}[/]"
        hides = "[red]报警 active[/]" if row["present"] else "正常 normal"
        colour = COLOURS[row["severity"]]
        name = f"[{colour}]{row['id']}[/]"
        table.add_row(name, what, STATES[row["state"]], hides, escape(row["who"]), escape(row["why"]), until)
    return table
