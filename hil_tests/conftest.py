"""The command line of `pytest hil_tests`, and its table at the end."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pluggy
import pytest

from gateway import __version__
from gateway.model import Text
from hil_tests.acceptance import Acceptance, Result, Row
from hil_tests.setting import Mode, Setting, no_wire
from hil_tests.simulator import STORY, Simulator, story
from hil_tests.world import Measured, World

SETTING = pytest.StashKey[Setting]()
ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()
MEASURED = pytest.StashKey[Text]()

NOT_FOR = {Mode.PTY: "test_device.py", Mode.CROSSED: "test_device.py", Mode.DEVICE: "test_line.py"}
"""The checks that make no sense in a mode."""
ON_A_PTY_TIMEOUT_S = 0.1
"""The simulator's devices answer in 5 ms, and nobody waits for a pty's driver."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "a serial line or device (hil_tests/README.md)")
    group.addoption("--port", default="", help="the gateway's serial port; without it: a pseudo terminal")
    group.addoption("--peer", default="", help="the simulator's serial port, wired to --port")
    group.addoption("--template", default="", help="test one real device: its template's name, or a .yaml file")
    group.addoption("--address", default="", help="the address of that device")
    group.addoption("--baud", type=int, default=9600)
    group.addoption("--parity", choices=("N", "E", "O"), default="N")
    group.addoption("--stop-bits", type=int, choices=(1, 2), default=1)
    group.addoption("--timeout", type=float, default=None, help="reply time-out in seconds (0.3; on a pty 0.1)")
    group.addoption("--interactive", action="store_true", help="ask to pull the adapter and to plug it in again")
    group.addoption(
        "--acceptance",
        type=Path,
        default=None,
        metavar="FILE",
        help="write the table to this file: .md to sign, .csv for a spreadsheet",
    )


def pytest_configure(config: pytest.Config) -> None:
    option = config.getoption
    timeout_s = option("--timeout")
    setting = Setting(
        option("--port"),
        option("--peer"),
        option("--template"),
        option("--address"),
        option("--baud"),
        option("--parity"),
        option("--stop-bits"),
        (0.3 if option("--port") else ON_A_PTY_TIMEOUT_S) if timeout_s is None else timeout_s,
        option("--interactive"),
        option("--acceptance"),
        no_wire(option("--port"), option("--peer")),
    )
    if mistakes := setting.mistakes():
        raise pytest.UsageError("\n".join(f"{mistake.zh} / {mistake.en}" for mistake in mistakes))
    config.addinivalue_line("markers", "subject(zh, en): stands in front of the check's text in the table")
    config.stash[SETTING] = setting
    config.stash[ROWS] = []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name == NOT_FOR[config.stash[SETTING].mode] else None


@pytest.fixture
def setting(request: pytest.FixtureRequest) -> Setting:
    return request.config.stash[SETTING]


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Says what stands in the table's last column."""

    def say(zh: str, en: str) -> None:
        request.node.stash[MEASURED] = Text(zh, en)

    return say


@pytest.fixture
async def world(setting: Setting, tmp_path: Path) -> AsyncIterator[World]:
    """The gateway's bus on the port; at the other end the story's devices, or the one real device as ``device``."""
    if setting.mode is Mode.DEVICE:
        name = Path(setting.template).stem if setting.template.endswith(".yaml") else setting.template
        address = int(setting.address, 0) if setting.address[:1].isdigit() else setting.address
        entries = [{"id": "device", "template": name, "address": address}]
        with closing(World(setting, tmp_path, entries, None)) as world:
            yield world
        return
    with (
        closing(Simulator(setting, tmp_path, STORY)) as simulator,
        closing(World(setting, tmp_path, story(setting), simulator)) as world,
    ):
        yield world


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    """A row for each check; a failure to set it up or to end it is one too."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" or report.outcome != "passed":
        item.config.stash[ROWS].append(_row(item, call, report))


def _row(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> Row:
    measured = item.stash.get(MEASURED, Text("", ""))
    if report.passed:
        return Row(_said(item), Result.PASSED, measured)
    why = str(call.excinfo.value).strip().splitlines() if call.excinfo is not None else []
    first = why[0] if why else ""
    if report.skipped:
        zh, _, en = first.removeprefix("Skipped: ").partition(" / ")
        return Row(_said(item), Result.NOT_DONE, Text(zh, en))
    return Row(_said(item), Result.FAILED, Text(measured.zh, f"{measured.en} {first}".strip()))


def _said(item: pytest.Item) -> Text:
    """The two paragraphs of the docstring, with what the check is for in front."""
    assert isinstance(item, pytest.Function)
    paragraphs = [" ".join(part.split()) for part in textwrap.dedent(item.function.__doc__ or "").split("\n\n")]
    subject = item.get_closest_marker("subject")
    zh, en = subject.args if subject is not None else ("", "")
    return Text(zh + paragraphs[0], en + paragraphs[1])


def _incomplete(exit_status: int, left_out: int) -> Text | None:
    if exit_status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return Text("运行被中断或出错", "the run was interrupted or could not begin")
    return Text(f"有 {left_out} 项被略去", f"{left_out} checks were left out") if left_out else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    date = datetime.now().astimezone().isoformat(" ", "seconds")
    rows = config.stash[ROWS]
    incomplete = _incomplete(exitstatus, len(terminalreporter.stats.get("deselected", ())))
    acceptance = Acceptance(config.stash[SETTING], date, __version__, rows, incomplete)
    terminalreporter.section("验收 acceptance")
    terminalreporter.write(acceptance.plain())
    if path := acceptance.setting.acceptance:
        path.write_text(acceptance.csv() if path.suffix == ".csv" else acceptance.markdown(), encoding="utf-8")
        terminalreporter.write_line(f"验收文件 acceptance file: {path}")
