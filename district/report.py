"""A small report for a person, Chinese and English: gateways, what is missing, alarms. Reads beside a running district."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from district.store import StoreError

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_ROWS = 50

# Title; columns; query. Times come as Unix seconds in columns that end in 时间.
TABLES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Gateways 网关",
        (
            "gateway 网关",
            "online 在线",
            "records 记录",
            "duplicates 重复",
            "missing 缺失",
            "flawed 异常",
            "last 最近时间",
        ),
        """
        SELECT journal.gateway, coalesce((SELECT online FROM status WHERE status.gateway = journal.gateway), '?'),
            sum(records), sum(duplicates),
            coalesce((SELECT sum(records) FROM lost WHERE lost.gateway = journal.gateway), 0),
            (SELECT count(*) FROM record WHERE record.gateway = journal.gateway
                AND (flaw IS NOT NULL OR chain = 'broken')),
            max(last_at)
        FROM journal GROUP BY journal.gateway ORDER BY journal.gateway LIMIT ?
        """,
    ),
    (
        "Missing and named by nobody 缺失且未说明",
        ("gateway 网关", "lane 通道", "journal 日志", "first 起", "last 止", "noticed 发现时间"),
        "SELECT gateway, lane, journal, first, last, noticed_at FROM lost ORDER BY noticed_at DESC LIMIT ?",
    ),
    (
        "Alarms not normal 未恢复的报警",
        ("gateway 网关", "alarm 报警", "severity 级别", "state 状态", "text 内容", "since 时间"),
        """
        SELECT gateway, alarm, severity, state,
            text_zh || ' / ' || text_en || CASE WHEN simulated THEN ' [SIMULATED 模拟]' ELSE '' END, time
        FROM alarm_state WHERE state != 'normal' ORDER BY time DESC LIMIT ?
        """,
    ),
    (
        "Set aside 被拒收",
        ("topic 主题", "reason 原因", "received 时间"),
        "SELECT topic, reason, received_at FROM rejected ORDER BY number DESC LIMIT ?",
    ),
)


def tables(path: Path) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, columns and rows as text; raises `StoreError`."""
    found = []
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            with db:  # one state of all tables
                for title, columns, query in TABLES:
                    rows = [_texts(columns, row) for row in db.execute(query, (MOST_ROWS,))]
                    found.append((title, columns, rows))
        finally:
            db.close()
    except apsw.Error as error:
        raise StoreError(f"{path}: {error}") from error
    return found


def show(path: Path) -> None:
    """Print it; raises `StoreError`."""
    from rich.console import Console

    console = Console()
    for renderable in _renderables(tables(path)):
        console.print(renderable)


def _renderables(content: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    shown: list[RenderableType] = []
    for title, columns, rows in content:
        table = Table(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))  # what came from outside is never markup
        shown.append(table if rows else Text(f"{title}: none 无"))
    return shown


def _texts(columns: tuple[str, ...], row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(
        _moment(value) if column.endswith("时间") else _printable(str(value))
        for column, value in zip(columns, row, strict=True)
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _printable(text: str) -> str:
    """No control characters from outside on anybody's terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
