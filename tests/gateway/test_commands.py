"""The command line as a person meets it: its words, its exit statuses, and that a daemon needs none of it."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gateway.clock import SystemClock
from gateway.commands.aside import span_s
from gateway.control import Control
from gateway.model import Action, Text
from gateway.restart import Guard
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def gengfu(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, timeout=60, check=False, env={"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )  # fmt: skip


def test_help_names_every_command_in_both_languages():
    told = gengfu("--help")
    assert told.returncode == 0
    for word in ("run", "check", "demo", "test-rules", "pki", "status", "alarms", "ack", "reset", "read", "站点"):
        assert word in told.stdout


def test_run_wants_one_site_file():
    assert gengfu("run").returncode == 2
    assert "用法" in gengfu("run", "a", "b").stderr


def test_a_demo_shorter_than_its_story_is_refused():
    told = gengfu("demo", "--for", "10")
    assert told.returncode == 2
    assert "75" in told.stderr


def test_a_demo_does_not_remove_what_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    told = gengfu("demo", "--for", "75", "--keep", tmp_path)
    assert told.returncode == 2
    assert (tmp_path / "thesis.txt").exists()


def test_check_shows_the_site_and_says_what_is_missing(tmp_path):
    """The demo's certificates are made when it runs; everything else of the file is shown."""
    (tmp_path / "site.yaml").write_text(
        (ROOT / "examples/demo/site.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    told = gengfu("check", "site.yaml", cwd=tmp_path)
    assert told.returncode == 78
    assert "smoke-1203" in told.stdout
    assert "site.yaml:" in told.stderr
    gengfu("pki", "init", "pki", cwd=tmp_path)
    told = gengfu("check", "site.yaml", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "no mistakes" in told.stdout


def test_check_lists_all_mistakes_at_once_and_as_json(tmp_path):
    (tmp_path / "site.yaml").write_text("gateway: {id: 'a b'}\nbusses: []\nbuses: []\ndevices: []\n", encoding="utf-8")
    told = gengfu("check", "site.yaml", "--json", cwd=tmp_path)
    answer = json.loads(told.stdout)
    assert (told.returncode, answer["ok"]) == (78, False)
    assert {mistake["path"] for mistake in answer["mistakes"]} == {"gateway.id", "busses"}
    assert all(mistake["zh"] and mistake["en"] and mistake["line"] for mistake in answer["mistakes"])


def test_pki_says_that_it_is_not_for_production_and_overwrites_nothing(tmp_path):
    told = gengfu("pki", "init", tmp_path / "pki")
    assert "not for production" in told.stdout.lower()
    assert "生产" in told.stdout
    assert gengfu("pki", "init", tmp_path / "pki").returncode == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("3d", 259200), ("1.5h", 5400),
     ("", None), ("2", None), ("h", None), ("2h ", None), ("-2h", None), ("1e9h", None), ("9999999s", None), ("２h", None)],
)  # fmt: skip
def test_times_are_written_as_people_do(text, seconds):
    if seconds is None:
        with pytest.raises(typer.BadParameter, match="1h30m"):
            span_s(text)
    else:
        assert span_s(text) == seconds


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["alarms"],
        ["read", "x"],
        ["ack", "x"],
        ["unshelve", "x", "--who", "Li"],
        ["shelve", "x", "--for", "2h", "--who", "Li", "--why", "paint"],
        ["return-to-service", "x", "--who", "Li"],
        ["out-of-service", "x", "--for", "3d", "--who", "Li", "--why", "repair"],
    ],
)
def test_without_a_gateway_the_person_is_told_where_nobody_answers(tmp_path, command):
    told = gengfu(*command, "--socket", tmp_path / "none.sock")
    assert told.returncode == 1
    assert "none.sock" in told.stderr
    assert "无网关应答" in told.stderr


async def test_shelving_from_the_command_line_reaches_the_gateway_with_name_reason_and_seconds(tmp_path):
    """And a refusal is told in both languages, with exit status 1."""
    seen, path = [], tmp_path / "control.sock"

    def take(command):
        seen.append(command)
        return None if len(seen) == 1 else Text("不行", "no")

    server = asyncio.create_task(Control(path, {}, take, SystemClock(), Guard()).run())
    await until(path.exists)
    words = ("fire", "--for", "1h30m", "--who", "王师傅", "--why", "检修", "--socket", path)
    told = await asyncio.to_thread(gengfu, "out-of-service", *words)
    assert told.returncode == 0, told.stderr
    assert "王师傅" in told.stdout
    told = await asyncio.to_thread(gengfu, "shelve", *words)
    assert (told.returncode, "no / 不行" in told.stderr) == (1, True)
    assert [(one.action, one.alarm, one.why, one.for_s) for one in seen] == [
        (Action.TAKE_OUT, "fire", "检修", 5400.0), (Action.SHELVE, "fire", "检修", 5400.0),
    ]  # fmt: skip
    told = await asyncio.to_thread(gengfu, "shelve", *words[:1], *words[3:])
    assert told.returncode == 2, "without a time nothing is asked"
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
