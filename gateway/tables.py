"""Tables that more than one command shows: values with their units, alarms with how far each has come."""

from __future__ import annotations

from collections.abc import Mapping
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


def part_tables(parts: Mapping[str, Any]) -> list[Table]:
    """Lines, disk, uplinks: a table for each kind, and what is of no kind with its words. `--json` has all there is."""
    kinds: dict[str, dict[str, Any]] = {"bus": {}, "journal": {}, "uplink": {}}
    rest: dict[str, Any] = {}
    for name, part in parts.items():
        kind, _, ident = name.partition(" ")
        (kinds[kind] if ident and kind in kinds else rest)[ident or name] = part
    made = (_lines(kinds["bus"]), _lanes(kinds["journal"]), _uplinks(kinds["uplink"]), _rest(rest))
    return [table for table in made if table.row_count]


def _lines(buses: Mapping[str, Any]) -> Table:
    table = Table(title="Lines 线路", title_justify="left")
    _columns(
        table,
        "line 线路",
        "state 状态",
        "busy 占用",
        "asked 请求",
        "silent 超时",
        "damaged 坏帧",
        "lost 中断",
        "late groups 未达周期",
    )
    for name, part in buses.items():
        bus = part.get("bus", part)
        state = "[green]正常 up[/]" if bus.get("up") else f"[red]中断 down[/] {plain(str(bus.get('why', '')))}"
        if "requests" not in bus:
            calls = f"{part.get('connections', 0)} 个呼入 callers"
            table.add_row(name, state, calls, "-", "-", "-", "-", "-")
            continue
        down = [
            f"{device}/{group['group']}"
            for device, groups in part.get("devices", {}).items()
            for group in groups
            if not group["up"]
        ]
        more = f" +{len(down) - 3}" if len(down) > 3 else ""
        counts = (str(bus[key]) for key in ("requests", "timeouts", "bad_frames", "losses"))
        table.add_row(name, state, f"{part.get('busy', 0):.0%}", *counts, ", ".join(down[:3]) + more)
    return table


def _lanes(lanes: Mapping[str, Any]) -> Table:
    table = Table(title="Disk 存储", title_justify="left")
    _columns(table, "lane 分区", "state 状态", "used 已用", "records 记录", "waiting 待写", "dropped 舍弃")
    for name, lane in lanes.items():
        failing = lane["failing_since"] is not None
        state = f"[red]故障 failing[/] {plain(lane['why'])}" if failing else "[green]正常 well[/]"
        used = f"{lane['used_bytes'] / 2**20:.1f} / {lane['quota_bytes'] / 2**20:.0f} MiB"
        dropped = ", ".join(f"{reason} {count}" for reason, count in lane["dropped"].items()) or "-"
        table.add_row(name, state, used, str(lane["last"]), str(lane["waiting"]), dropped)
    return table


def _uplinks(uplinks: Mapping[str, Any]) -> Table:
    table = Table(title="Uplinks 上行", title_justify="left")
    _columns(
        table,
        "uplink 上行",
        "state 状态",
        "alarms without receipt 报警未回执",
        "records without receipt 记录未回执",
        "refused 拒收",
    )
    for name, part in uplinks.items():
        if part["connected"]:
            state = f"[green]已连接 connected[/] {part['tls']}"
        else:
            state = f"[red]{'被拒绝 refused' if part['refused'] else '未连接 not connected'}[/] {plain(part['error'] or '')}"
        refused = ", ".join(f"{reason} {count}" for reason, count in part["refused_records"].items()) or "-"
        table.add_row(name, state, str(part["alarm_backlog"]), str(part["unsettled"]), refused)
    return table


def _rest(parts: Mapping[str, Any]) -> Table:
    table = Table(title="Others 其他", title_justify="left")
    _columns(table, "part 部件", "what it says 状态")
    for name, part in parts.items():
        table.add_row(name, plain(_words(part)))
    return table


def _words(value: Any) -> str:
    """``a 1, b 2``: what is empty or nothing is left out."""
    if isinstance(value, Mapping):
        told = {key: _words(one) for key, one in value.items() if one not in (None, "", [], {})}
        return ", ".join(f"{key} {f'({one})' if ', ' in one else one}" for key, one in told.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
