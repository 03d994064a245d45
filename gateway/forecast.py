"""What a site will cost its disk: bytes a day, how long an outage fits, how fast the card wears. Estimates, from the site alone.

Two days are told: a quiet one, on which each value is reported as rarely as it may be, and the busiest one there can be, on
which every value of every poll is another. A real day lies between. Terminals that call are taken to do so once a minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.blueprint import Site
from gateway.model import BusKind, Device, Group, Kind, Text
from gateway.wire.pack import Layout

DAY_S = 86400.0
ROW_BYTES = 116
"""A record's row beside its body."""
PAGE_BYTES = 4096
COMMIT_BYTES = 12 * 1024
"""What one commit writes to the card whatever its size: of the table's page, of the state's, of the log's frames. Measured, with a
receipt for each commit: 14 KiB a commit at bodies of 600 bytes, 22 to 25 at 2 KiB, 50 at 16 KiB (tests/faults/test_thinning.py)."""
AMPLIFICATION = 2.5
"""Bytes on the card for each that is stored, beside that."""
TEXT_BYTES = 32
CALL_S = 60.0
CARD_BYTES = 16 * 1024**3
CARD_CYCLES = 1000
"""Of a plain card or eMMC: TLC flash is rated for 1,000 to 3,000; the sensible choice is one that is rated for more."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Pairs are (quiet day, busiest day)."""

    stored_bytes_a_day: tuple[int, int]
    outage_hours: tuple[float, float]
    """How long the telemetry of an outage fits into its quota; then the oldest is thinned, alarms never."""
    written_bytes_a_day: tuple[int, int]
    """To the card, write amplification included."""
    card_years: tuple[float, float]
    """Of a card of `CARD_BYTES` and `CARD_CYCLES`."""

    def rows(self) -> list[tuple[str, str, str]]:
        return [
            ("stored a day 每天存储", _size(self.stored_bytes_a_day[0]), _size(self.stored_bytes_a_day[1])),
            ("outage that fits 可缓存断网时长", _hours(self.outage_hours[0]), _hours(self.outage_hours[1])),
            (
                "written to the card a day 每天写卡",
                _size(self.written_bytes_a_day[0]),
                _size(self.written_bytes_a_day[1]),
            ),
            ("life of a 16 GiB card 16 GiB 卡寿命", _years(self.card_years[0]), _years(self.card_years[1])),
        ]


def forecast(site: Site) -> Forecast:
    groups = list(_groups(site))
    busiest = sum(DAY_S / period_s * size for size, period_s, _ in groups)
    quiet = sum(DAY_S / max(period_s, longest_s) * size for size, period_s, longest_s in groups)
    if not site.report.by_exception:
        quiet = busiest
    slots = DAY_S / site.journal.telemetry_commit_s
    commits = (
        min(slots, sum(DAY_S / max(period_s, longest_s) for _, period_s, longest_s in groups)),
        min(slots, sum(DAY_S / period_s for _, period_s, _ in groups)),
    )
    stored = tuple(
        count * _stored_bytes(bodies / count) if count else 0.0
        for bodies, count in zip((quiet, busiest), commits, strict=True)
    )
    written = tuple(one * AMPLIFICATION + count * COMMIT_BYTES for one, count in zip(stored, commits, strict=True))
    quota = site.journal.telemetry_quota_bytes
    return Forecast(
        (int(stored[0]), int(stored[1])),
        (_share(quota, stored[0]) * 24, _share(quota, stored[1]) * 24),
        (int(written[0]), int(written[1])),
        (_life(written[0]), _life(written[1])),
    )


def warnings(site: Site, seen: Forecast) -> list[Text]:
    """What is unwise."""
    told = []
    if seen.outage_hours[1] < 72:
        hours = seen.outage_hours[1]
        told.append(
            Text(
                f"最忙时断网 {hours:.0f} 小时后开始稀释数据（少于 72 小时）：增大 telemetry_quota_mib",
                f"on the busiest day telemetry is thinned after {hours:.0f} h of an outage (less than 72): raise telemetry_quota_mib",
            )
        )
    if seen.card_years[0] < 5:
        years = seen.card_years[0]
        told.append(
            Text(
                f"16 GiB 存储卡约 {years:.1f} 年磨损：增大 telemetry_commit_s 或换工业级卡",
                f"a card of 16 GiB is worn out in about {years:.1f} years: raise telemetry_commit_s, or take an industrial card",
            )
        )
    return told


def _groups(site: Site) -> Iterator[tuple[int, float, float]]:
    """Bytes of a whole scan, period, longest interval of a report."""
    buses = {bus.id: bus for bus in site.buses}
    for device in site.devices:
        bus = buses.get(device.bus)
        for index, group in enumerate(device.groups):
            period_s = CALL_S if bus is not None and bus.kind is BusKind.LISTEN else group.period_s
            longest_s = min((point.longest_interval_s for point in group.points), default=period_s)
            yield _bytes(device, index, group), period_s, longest_s


def _bytes(device: Device, index: int, group: Group) -> int:
    layout = Layout(device.id, index, group.points)
    if layout.full is not None:
        return layout.full.size
    return 17 + sum(TEXT_BYTES if point.kind is Kind.TEXT else 8 for point in group.points)


def _stored_bytes(body: float) -> float:
    """What a record of this size takes in SQLite's file: rows are not cut at a page's end, long ones go on in pages of their own."""
    row, pages = body + ROW_BYTES, 0
    if row > PAGE_BYTES - 35:
        begin = 489 + (row - 489) % (PAGE_BYTES - 4)
        begin = begin if begin <= PAGE_BYTES - 35 else 489
        row, pages = begin, math.ceil((row - begin) / (PAGE_BYTES - 4))
    return PAGE_BYTES * (pages + 1 / ((PAGE_BYTES - 8) // row))


def _share(whole: float, part: float) -> float:
    return whole / part if part else float("inf")


def _life(written_a_day: float) -> float:
    return _share(CARD_BYTES * CARD_CYCLES, written_a_day) / 365


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("there is a largest unit")


def _hours(hours: float) -> str:
    return "∞" if hours == float("inf") else f"{hours:.0f} h" if hours < 240 else f"{hours / 24:.0f} d"


def _years(years: float) -> str:
    return "> 50 y" if years > 50 else f"{years:.1f} y"
