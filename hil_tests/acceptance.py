"""The table for the acceptance file (验收): what was checked, what came out, what was measured; Chinese and English.

Guarantees: what was not done is never counted as passed, and a run without a real wire says so in its first lines.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from io import StringIO

from rich.console import Console
from rich.table import Table

from gateway.model import Text
from hil_tests.setting import Mode, Setting

_WIDTH = 120


class Result(Enum):
    PASSED = Text("通过", "passed")
    FAILED = Text("不通过", "FAILED")
    NOT_DONE = Text("未做", "not done")


MODES = {
    Mode.PTY: Text("模拟设备", "simulated devices"),
    Mode.CROSSED: Text("两个适配器对接，对端为模拟设备", "two crossed adapters, simulated devices at the other end"),
    Mode.DEVICE: Text("一台设备，只读", "one device, read only"),
}
SIMULATED = Text(
    "在伪终端上模拟：没有实物串口。校验位、电平和适配器未经检验。",
    "Simulated over a pty: no real serial port. Parity, voltages and adapters are not proved.",
)
COLUMNS = (
    Text("检查项", "check"),
    Text("结果", "result"),
    Text("实测", "measured"),
)


@dataclass(frozen=True, slots=True)
class Row:
    check: Text
    result: Result
    measured: Text


@dataclass(frozen=True, slots=True)
class Acceptance:
    setting: Setting
    date: str
    version: str
    rows: Sequence[Row]
    incomplete: Text | None = None
    """Why this run proves less than a whole one."""

    def facts(self) -> list[tuple[Text, str]]:
        """What was tested, with what."""
        setting = self.setting
        mode = MODES[setting.mode]
        found = [
            (Text("日期", "date"), self.date),
            (Text("软件版本", "software version"), f"Gengfu {self.version}"),
            (Text("方式", "kind of test"), f"{mode.zh} / {mode.en}"),
            (Text("串口", "port"), setting.port or "pty"),
        ]
        if setting.peer:
            found.append((Text("对端串口", "peer"), setting.peer))
        found.append((Text("线路参数", "line settings"), f"{setting.baud} 8{setting.parity}{setting.stop_bits}"))
        found.append((Text("应答超时", "reply time-out"), f"{setting.reply_timeout_s:g} s"))
        if setting.template:
            found.append((Text("模板", "template"), setting.template))
            found.append((Text("地址", "address"), setting.address))
        return found

    def verdict(self) -> Text:
        count = Counter(row.result for row in self.rows)
        zh = "，".join(f"{result.value.zh} {count[result]}" for result in Result)
        en = ", ".join(f"{result.value.en} {count[result]}" for result in Result)
        if self.incomplete is None:
            return Text(zh, en)
        return Text(
            f"{zh}。检查不完整，不能作为验收依据：{self.incomplete.zh}",
            f"{en}. Incomplete, no proof of anything: {self.incomplete.en}",
        )

    def markdown(self) -> str:
        """The acceptance file."""
        lines = ["# 串口验收记录 / Acceptance of a serial line", ""]
        if self.setting.simulated:
            lines += [f"**{SIMULATED.zh}**", "", f"**{SIMULATED.en}**", ""]
        lines += ["| 项目 item | 内容 content |", "|---|---|"]
        lines += [f"| {name.zh} {name.en} | {_cell(value)} |" for name, value in self.facts()]
        lines += ["", "| " + " | ".join(f"{name.zh} {name.en}" for name in COLUMNS) + " |", "|---|---|---|"]
        lines += [
            f"| {_both(row.check)} | {row.result.value.zh} {row.result.value.en} | {_both(row.measured)} |"
            for row in self.rows
        ]
        verdict = self.verdict()
        lines += ["", f"{verdict.zh}。", "", f"{verdict.en}.", "", "签字 signed: ____________________", ""]
        return "\n".join(lines)

    def csv(self) -> str:
        """For a spreadsheet: a line a check, each with what was tested; the mark at its start lets Excel read Chinese."""
        out = StringIO()
        table = csv.writer(out)
        facts = self.facts()
        verdict = self.verdict()
        table.writerow([*(f"{name.zh} {name.en}" for name, _ in facts), *(f"{name.zh} {name.en}" for name in COLUMNS)])
        for row in self.rows:
            cells = (row.check, row.result.value, row.measured)
            table.writerow(
                [*(_harmless(value) for _, value in facts), *(_harmless(" / ".join(cell)) for cell in cells)]
            )
        table.writerow([f"{verdict.zh} / {verdict.en}"])
        return "\ufeff" + out.getvalue()

    def plain(self) -> str:
        """The same for a terminal."""
        table = Table(show_lines=True)
        for name in COLUMNS:
            table.add_column(f"{name.zh} {name.en}", overflow="fold")
        for row in self.rows:
            table.add_row(
                f"{row.check.zh}\n{row.check.en}",
                f"{row.result.value.zh}\n{row.result.value.en}",
                f"{row.measured.zh}\n{row.measured.en}".strip(),
            )
        out = StringIO()
        console = Console(file=out, width=_WIDTH, markup=False, highlight=False, emoji=False)
        for name, value in self.facts():
            console.print(f"{name.zh} {name.en}: {value}")
        if self.setting.simulated:
            console.print(f"{SIMULATED.zh}\n{SIMULATED.en}")
        console.print(table)
        verdict = self.verdict()
        console.print(f"{verdict.zh}\n{verdict.en}")
        return out.getvalue()


def _both(text: Text) -> str:
    return "<br>".join(_cell(part) for part in text if part)


def _harmless(text: str) -> str:
    """No spreadsheet takes it for a formula."""
    text = " ".join(text.split()).removesuffix(" /").removeprefix("/ ")
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
