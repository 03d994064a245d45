"""The figures side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import linear_regression

Figures = Mapping[str, float | str]
"""By the key of a row; a text says why there is no figure."""


@dataclass(frozen=True)
class Row:
    piece: str
    """The measurement that it comes from (`pieces.PIECES`)."""
    key: str
    text: str
    digits: int = 2
    share: bool = True
    """Whether ours divided by theirs says something."""


ROWS = (
    Row("load", "delivered", "values a second at the broker, of 2,000", 0, False),
    Row("load", "cpu", "CPU-s per 10,000 delivered values", 3),
    Row("load", "core", "share of one core meanwhile, %", 1),
    Row("load", "rss", "memory then, MiB", 0),
    Row("load", "load_start", "start to first value of 50 devices, s"),
    Row("latency", "p50", "change at 100 ms to subscriber, p50, ms", 0),
    Row("latency", "p99", "p99, ms", 0),
    Row("latency", "start", "start to first value of one device, s"),
    Row("latency", "start_cpu", "CPU-s until then"),
    Row("line-9600", "share_9600", "use of a line at 9600, %", 1),
    Row("line-9600", "early_9600", "requests too early there, %", 1, False),
    Row("line-115200", "share_115200", "use of a line at 115200, %", 1),
    Row("line-115200", "early_115200", "requests too early there, %", 1, False),
    Row("shared", "shared_p95", "period beside a silent unit, p95, s"),
    Row("shared", "shared_max", "the longest, s"),
    Row("dead", "dead_p95", "period beside a dead server, p95, s"),
    Row("dead", "dead_max", "the longest, s"),
    Row("idle", "idle", "one device asked every 20 s, % of a core", 3),
)


def none(piece: str, why: str) -> dict[str, float | str]:
    """The figures of a measurement that gave none."""
    return {row.key: why for row in ROWS if row.piece == piece}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of all do not exceed."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def delays(rises: Sequence[float], arrivals: Sequence[float], begin: float, end: float) -> tuple[list[float], int]:
    """Milliseconds from each rise between two times to the first arrival before the next one; how many never arrived."""
    found, missed = [], 0
    for rise, following in pairwise([*rises, float("inf")]):
        if begin <= rise < end:
            inside = [at for at in arrivals if rise <= at < following]
            if inside:
                found.append((inside[0] - rise) * 1000)
            else:
                missed += 1
    return found, missed


def periods(asked: Mapping[str, Sequence[float]], but: str) -> list[float]:
    """Seconds between two requests to the same device, all devices together but one (PORT/UNIT, or PORT/*)."""
    whole = but.removesuffix("*") if but.endswith("*") else None
    return [
        later - earlier
        for name, times in asked.items()
        if name != but and not (whole and name.startswith(whole))
        for earlier, later in pairwise(times)
    ]


def rate(messages: Sequence[tuple[float, int]], begin: float, end: float) -> float:
    """Values a second, by the slope of the sum of all values over time: who sends what piled up in a second at once must
    not gain or lose a second's worth by where the window falls."""
    inside = [message for message in messages if begin <= message[0] <= end]
    if len(inside) < 2 or inside[0][0] == inside[-1][0]:
        return 0.0
    return linear_regression([at for at, _ in inside], list(accumulate(values for _, values in inside))).slope


def use(exchanges: Sequence[tuple[float, float, bool]], begin: float, end: float) -> tuple[float, float]:
    """Per cent of the line that is used between two times, and of requests that were too early (`bench.peers.line`)."""
    inside = [exchange for exchange in exchanges if begin <= exchange[0] <= end]
    if len(inside) < 2:
        raise ValueError("fewer than two requests")
    least_s = sum(exchange[1] for exchange in inside[:-1])
    early = sum(exchange[2] for exchange in inside[1:])
    return 100 * least_s / (inside[-1][0] - inside[0][0]), 100 * early / (len(inside) - 1)


def table(results: Mapping[str, Figures]) -> str:
    """Markdown; the first product is ours, and behind each figure of the others stands ours as a share of it."""
    ours, *others = results
    lines = [
        "| | " + " | ".join([ours, *others]) + " |",
        "|---|" + "---:|" * len(results),
    ]
    for row in ROWS:
        if any(row.key in figures for figures in results.values()):
            cells = [_cell(row, figures.get(row.key)) for figures in results.values()]
            for number, name in enumerate(others, 1):
                cells[number] += _share(row, results[ours].get(row.key), results[name].get(row.key))
            lines.append(f"| {row.text} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Row, figure: float | str | None) -> str:
    if figure is None:
        return "not run"
    return figure if isinstance(figure, str) else f"{figure:,.{row.digits}f}"


def _share(row: Row, ours: float | str | None, theirs: float | str | None) -> str:
    if not row.share or not isinstance(ours, (int, float)) or not isinstance(theirs, (int, float)) or not theirs:
        return ""
    return f" (x {ours / theirs:.2g})"
