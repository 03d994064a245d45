"""Tables that more than one command shows: values with their units, alarms with how far each has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.table import Table

COLOURS = {"critical": "bold red", "high": "dark_orange", "medium": "yellow", "low": "blue"}


def value_text(point: dict[str, Any]) -> str:
    """A value with its unit; a dash where there is no usable one."""
    value = point["value"]
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{text} {point['unit']}".strip()


def alarm_table(rows: list[dict[str, Any]]) -> Table:
    """Alarms as a table: gravest first, in both languages, with how far each has come."""
    table = Table(title="Alarms 报警", title_justify="left")
    for column in ("alarm", "what 内容", "since", "state", "reached"):
        table.add_column(column)
    for row in rows:
        since = datetime.fromtimestamp(row["since"]).strftime("%H:%M:%S")
        colour = COLOURS[row["severity"]]
        what = f"{row['text']['zh']}\n[dim]{row['text']['en']}[/]"
        table.add_row(f"[{colour}]{row['id']}[/]", what, since, row["state"], row["stage"])
    return table
