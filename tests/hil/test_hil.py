"""`pytest hil_tests` as an installer runs it: over a pty, on two wired ports, and against one device."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import __version__
from hil_tests.acceptance import SIMULATED
from hil_tests.setting import Setting
from hil_tests.simulator import STORY, Simulator
from tests.hil.wire import Wire

ROOT = Path(__file__).parents[2]
LONGEST_RUN_S = 120
ON_TWO_PORTS = "silence or garbled or pulled"
CHECKS_OVER_A_PTY = 14
"""All but one for each template."""


@dataclass
class Run:
    status: int
    printed: str
    acceptance: str

    def rows(self):
        """Check -> result, as they stand in the acceptance file."""
        table = self.acceptance.partition("| 检查项 check |")[2].splitlines()[2:]
        cells = [line.strip("| ").split(" | ") for line in table if line.startswith("|")]
        return {check: result for check, result, *_ in cells}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The whole suite over a pty, and the short ones one after the other beside it: they mostly wait."""
    folder = tmp_path_factory.mktemp("hil")
    wire = Wire(10 / 9600)
    simulators = [Simulator(Setting(), tmp_path_factory.mktemp("simulator"), STORY) for _ in range(3)]
    one, other, third = (["--port", simulator.path, "--template", "generic_smoke_loop"] for simulator in simulators)
    asked = {
        "crossed": ["--port", wire.port, "--peer", wire.peer, "-k", ON_TWO_PORTS],
        "device": [*one, "--address", "1"],
        "sheet": [*one, "--address", "1", "-k", "every_time"],
        "nobody": [*other, "--address", "9", "-k", "every_point"],
        "pulled": [*third, "--address", "1", "--interactive", "-k", "pulled"],
        "wrong": ["--port", "/dev/null"],
    }
    whole = start(folder, "pty", [])
    done = {}
    for name, arguments in asked.items():
        process = start(folder, name, arguments)
        if name == "pulled":
            pull_and_plug(process, simulators[2])
        done[name] = finished(folder, name, process)
    yield done | {"pty": finished(folder, "pty", whole)}
    for simulator in simulators:
        simulator.close()
    wire.close()


def acceptance_file(folder, name):
    return folder / (f"{name}.csv" if name == "sheet" else f"{name}.md")


def start(folder, name, arguments):
    command = [sys.executable, "-m", "pytest", "hil_tests", "-p", "no:cacheprovider"]
    command += ["--acceptance", str(acceptance_file(folder, name)), "--basetemp", str(folder / name), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def pull_and_plug(process, simulator):
    """The person at the adapter, who does what the lines say."""
    acts = {">>> 请拔掉": simulator.pull, ">>> 请重新插上": simulator.plug}
    while acts and (line := process.stdout.readline()):
        for words in [words for words in acts if line.startswith(words)]:
            acts.pop(words)()
    assert not acts, f"nobody asked for {list(acts)}"


def finished(folder, name, process):
    printed, _ = process.communicate(timeout=LONGEST_RUN_S)
    file = acceptance_file(folder, name)
    return Run(process.returncode, printed, file.read_text(encoding="utf-8") if file.exists() else "")


def test_over_a_pty_everything_passes_but_what_a_pty_cannot_prove(runs):
    """Exit 0; parity is not done, and not counted as passed."""
    run = runs["pty"]
    assert run.status == 0, run.printed
    templates = [check for check in run.rows() if "按此模板" in check]
    assert len(templates) >= 7
    not_done = {check for check, result in run.rows().items() if result == "未做 not done"}
    passed = {check for check, result in run.rows().items() if result == "通过 passed"}
    unplayed = {check for check in not_done if "按此模板" in check}
    assert (
        len(unplayed) <= len(templates) // 3
    )  # what the simulator does not speak yet; said, and not counted as passed
    assert len(not_done - unplayed) == 2
    assert all("校验" in check for check in not_done - unplayed)
    assert len(run.rows()) == len(templates) + CHECKS_OVER_A_PTY == len(passed) + len(not_done)
    assert f"{len(passed)}，不通过 0，未做 {len(not_done)}" in run.acceptance


def test_the_acceptance_file_says_what_was_tested_with_what(runs):
    """Date, version, settings; that it is no real port in both languages; the same in the printed table."""
    run = runs["pty"]
    for text in (SIMULATED.zh, SIMULATED.en, f"Gengfu {__version__}", "9600 8N1", "日期 date | 20", "签字 signed"):
        assert text in run.acceptance
    for text in (SIMULATED.zh, SIMULATED.en, "验收 acceptance", "检查项 check", "passed"):
        assert text in run.printed
    assert "不完整" not in run.acceptance


def test_on_two_ports_the_simulator_answers_from_the_peer(runs):
    """Silences and a damaged answer over a wire between two ports; a person's part is not done; a part is a part."""
    run = runs["crossed"]
    assert run.status == 0, run.printed
    assert sorted(run.rows().values()) == ["未做 not done", *["通过 passed"] * 2]
    assert SIMULATED.zh in run.acceptance  # pseudo terminals, though they were named as ports
    assert "对端串口 peer | /dev/" in run.acceptance
    assert "检查不完整，不能作为验收依据" in run.acceptance


def test_one_device_is_read_with_its_template(runs):
    """Its values stand in the table, to be compared with what it shows; that its template is not proved is said."""
    run = runs["device"]
    assert run.status == 0, run.printed
    assert "density 1.11 %/m" in run.acceptance
    assert "the template is not proved" in run.acceptance
    assert "模板 template | generic_smoke_loop |" in run.acceptance
    assert list(run.rows().values()).count("通过 passed") == 4


def test_the_table_is_also_there_for_a_spreadsheet(runs):
    """`--acceptance x.csv`: a line a check, with date, port, template, what was checked and the result; the verdict last."""
    run = runs["sheet"]
    assert run.status == 0, run.printed
    header, check, verdict = csv.reader(run.acceptance.removeprefix("\ufeff").splitlines())
    line = dict(zip(header, check, strict=True))
    assert line["模板 template"] == "generic_smoke_loop"
    assert line["地址 address"] == "1"
    assert line["串口 port"]
    assert line["结果 result"] == "通过 / passed"
    assert "answers every poll" in line["检查项 check"]
    assert "不完整" in verdict[0]


def test_a_person_pulls_the_adapter_and_plugs_it_in(runs):
    """The run says what to do and waits for it; that it was a pseudo terminal is said also after it was gone."""
    run = runs["pulled"]
    assert run.status == 0, run.printed
    assert list(run.rows().values()) == ["通过 passed"]
    assert "noticed, and back" in run.acceptance
    assert SIMULATED.zh in run.acceptance


def test_a_device_that_does_not_answer_fails(runs):
    """Exit 1, and the reason stands in the table."""
    run = runs["nobody"]
    assert run.status == 1
    assert list(run.rows().values()) == ["不通过 FAILED"]
    assert "no reply within 0.3 s" in run.acceptance


def test_what_cannot_be_meant_is_refused_in_both_languages(runs):
    """A port without its other end: usage error, and no acceptance file."""
    run = runs["wrong"]
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert "--port 须与" in run.printed
    assert "--port goes with" in run.printed
    assert run.acceptance == ""
