"""`gengfu test-rules` as a person meets it: its words, its JSON, its exit statuses; and the example sites pass it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "tests/gateway/scenarios/site.yaml"
PASSES = "scenarios: [{name: calm, expect: [{at: 5s, none: true}]}]"
FAILS = """
scenarios:
  - {name: calm, expect: [{at: 5s, none: true}]}
  - name: smoke
    points: {smoke/density: "0x4 6"}
    expect: [{at: 5s, alarm: fire, state: normal}, {at: 6s, alarm: open, state: unacknowledged}]
"""


def gengfu(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", "test-rules", *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False, env={"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture
def scenario(tmp_path):
    def write(text, name="scenario.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_what_passes_is_counted(scenario):
    told = gengfu(SITE, scenario(PASSES))
    assert (told.returncode, told.stderr) == (0, "")
    assert "1 scenarios, 1 passed, 0 failed" in told.stdout
    assert "1 个通过" in told.stdout


def test_a_failure_says_when_what_was_expected_and_what_was_seen(scenario):
    path = scenario(FAILS)
    told = gengfu(SITE, path)
    assert told.returncode == 1
    assert f"{path}: smoke" in told.stderr
    assert "5 s  expected 应为  fire normal" in told.stderr
    assert "seen 实为      fire unacknowledged (" in told.stderr
    assert "smoke/density 6 at 5 s" in told.stderr
    assert "2 scenarios, 1 passed, 1 failed" in told.stdout


def test_json_has_exactly_what_it_promises(scenario):
    path = scenario(FAILS)
    told = gengfu(SITE, path, "--json")
    answer = json.loads(told.stdout)
    assert told.returncode == 1
    assert (answer.keys(), answer["scenarios"], answer["passed"]) == ({"scenarios", "passed", "failed"}, 2, 1)
    first, second = answer["failed"]
    assert first.keys() == {"file", "scenario", "time", "expected", "seen"}
    assert (first["file"], first["scenario"], first["time"], first["expected"]) == (
        str(path),
        "smoke",
        5,
        "fire normal",
    )
    assert (second["time"], second["expected"]) == (6, "open unacknowledged")


def test_no_scenario_at_all_is_a_failure(tmp_path):
    """Neither beside the site nor in a folder that is given."""
    for arguments in ((SITE,), (SITE, tmp_path)):
        told = gengfu(*arguments)
        assert told.returncode == 1
        assert "没有找到场景" in told.stderr
    assert json.loads(gengfu(SITE, "--json").stdout) == {"scenarios": 0, "passed": 0, "failed": []}


def test_every_mistake_of_every_file_is_told_and_nothing_is_played(scenario, tmp_path):
    files = scenario("scenarios: [{name: a}]", "a.yaml"), scenario("- {", "b.yaml"), scenario(PASSES, "c.yaml")
    told = gengfu(SITE, *files, tmp_path / "none.yaml")
    assert (told.returncode, told.stdout) == (78, "")
    for name in ("a.yaml:1: scenarios[0].expect: is missing", "b.yaml:", "none.yaml:1: cannot be read", "3 处错误"):
        assert name in told.stderr
    assert gengfu(tmp_path / "no-site.yaml").returncode == 78


def test_an_alarm_without_a_scenario_is_named_when_asked(scenario):
    told = gengfu(SITE, scenario(PASSES), "--coverage", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["uncovered"] == ["fire", "open", "smoke/silent", "door/silent", "hydrant/silent"]


@pytest.mark.parametrize("site", sorted(ROOT.glob("examples/*/scenarios")), ids=lambda path: path.parent.name)
def test_each_alarm_of_an_example_site_has_a_scenario_that_passes(site):
    told = gengfu(site.parent / "site.yaml", "--coverage")
    assert told.returncode == 0, told.stderr + told.stdout
