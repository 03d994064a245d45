"""What a person sees of the demo: one live table on a terminal, or a line for each event without one."""

from __future__ import annotations

import html
import io
import re
import time
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.tables import alarm_table, value_text

CELL = 12.2
"""Width of a character cell in rich's pictures."""
QUALITY_COLOURS = {"good": "green", "not_yet": "dim"}


class Screen:
    """Shows the gateway's own answers; computes nothing."""

    def __init__(self, *, live: bool) -> None:
        self._console = Console(width=None if live else 120)
        self._live = Live(console=self._console, auto_refresh=False, transient=False) if live else None
        if self._live:
            self._live.start()
        self._told = 0
        self._most, self._fullest = 0, Group()

    def say(self, words: str) -> None:
        if self._live:
            self._live.update(Text(words), refresh=True)
        else:
            self._line(words)

    def show(self, status: dict[str, Any] | None, points: dict[str, Any] | None, events: list[dict[str, Any]]) -> None:
        """One look at everything. `status` is None while the gateway does not answer."""
        parts: list[Any] = [_head(status), _events(events)]
        if status and points:
            parts += [_devices(status, points["points"]), alarm_table(status["alarms"])]
            standing = sum(alarm["state"] == "unacknowledged" for alarm in status["alarms"])
            if standing >= self._most:
                self._most, self._fullest = standing, Group(*parts)
        else:
            parts.append(Text("the gateway does not answer 网关无应答", style="bold red"))
        if self._live:
            self._live.update(Group(*parts), refresh=True)
            return
        for event in events[self._told :]:
            self._line(event["what"])
        self._told = len(events)

    def summary(self, result: dict[str, Any], folder: Path) -> None:
        """The report in words: what came, what was lost, how fast."""
        table = Table(
            title="The story, from the simulator's, the journal's and the district's own books 结果",
            title_justify="left",
        )
        for column in ("what", "figure"):
            table.add_column(column)
        for name in (
            "samples_read",
            "records_committed",
            "records_received",
            "lost",
            "duplicates_dropped",
            "out_of_order",
        ):
            table.add_row(name, str(result[name]))
        for way, figures in result["alarm_latency_ms"].items():
            table.add_row(
                f"alarm latency, {way}", f"p50 {figures['p50']} ms, max {figures['max']} ms, {figures['count']} alarms"
            )
        receipted = sum(1 for alarm in result["alarms"] if alarm["district_at"])
        table.add_row("alarms of the story with the district's receipt", f"{receipted} of {len(result['alarms'])}")
        table.add_row("gateway", f"{result['gateway_rss_mib']} MiB, {result['gateway_cpu_s']} CPU-s")
        self._console.print(table)
        verdict = "complete: nothing lost 完整无丢失" if result["complete"] else "NOT COMPLETE 不完整"
        self._console.print(
            f"{verdict}; all files are in {folder}", style="green" if result["complete"] else "bold red"
        )

    def save(self, path: Path) -> None:
        """The moment with the most standing alarms as a picture (SVG)."""
        console = Console(record=True, width=132, file=io.StringIO())
        console.print(self._fullest)
        path.write_text(plain(console.export_svg(title="gengfu demo")), encoding="utf-8")

    def close(self) -> None:
        if self._live:
            self._live.stop()

    def _line(self, words: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {words}", markup=False, highlight=False)


def plain(svg: str) -> str:
    """rich's picture without its fonts from elsewhere, so that it fetches nothing; and with room for Chinese, of which rich
    counts each character as one cell (a browser would press it into half of its width)."""

    def measured(found: re.Match[str]) -> str:
        before, content = found.groups()
        return (
            f'{before}textLength="{cell_len(html.unescape(content)) * CELL:.1f}"{found[0][found[0].index(" clip") :]}'
        )

    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r'(<text [^>]*?)textLength="[^"]*" clip-path="[^"]*">([^<]*)', measured, svg)


def _head(status: dict[str, Any] | None) -> Text:
    if status is None:
        return Text("Gengfu 更夫 · simulated compound 模拟小区")
    words = [f"Gengfu 更夫 · {status['gateway']} · simulated compound 模拟小区 · up {status['uptime_s']:.0f} s"]
    for name, part in status["parts"].items():
        if name.startswith("uplink"):
            state = "connected" if part.get("connected") else f"down: {part.get('error', '')}"
            words.append(f"{name}: {state}, {part.get('unsettled')} without receipt")
    return Text(" · ".join(words), style="bold")


def _events(events: list[dict[str, Any]]) -> Text:
    lines = [f"{time.strftime('%H:%M:%S', time.localtime(event['t']))} {event['what']}" for event in events[-5:]]
    return Text("\n".join(lines), style="cyan")


def _devices(status: dict[str, Any], points: list[dict[str, Any]]) -> Table:
    """A row a device: its line, its quality, and its points in one cell, each coloured by quality."""
    table = Table(title="Devices and points 设备与测点", title_justify="left")
    for column in ("line", "device", "place 位置", "quality", "points"):
        table.add_column(column, overflow="fold")
    for device in status["devices"]:
        if device["id"] in ("gateway", "site"):
            continue
        mine = [point for point in points if point["id"].startswith(f"{device['id']}/")]
        cell = Text(" ")
        for point in mine:
            name = point["id"].partition("/")[2]
            colour = QUALITY_COLOURS.get(point["quality"], "red")
            loud = "bold " if point["value"] not in (0, None) else ""
            cell.append(f"{name} {value_text(point)}  ", style=f"{loud}{colour}")
        quality = Text(device["quality"], style=QUALITY_COLOURS.get(device["quality"], "bold red"))
        table.add_row(device["bus"], device["id"], device["place"]["zh"], quality, cell)
    return table
