"""The control socket against real Unix sockets: what a person can ask, and what a hostile neighbour cannot."""

import asyncio
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.control import LINE_BYTES, Control, Refused, ask
from gateway.model import Action, Text
from gateway.restart import Guard
from tests.waiting import until


def control(path="/nowhere", commands=None, refusal=None, views=None):
    seen = commands if commands is not None else []

    def command(order):
        seen.append(order)
        return refusal

    return Control(path, views or {"status": lambda _: {"up": 1}}, command, SystemClock(), Guard())


@pytest.fixture
async def served(tmp_path):
    commands = []
    path = tmp_path / "run" / "control.sock"
    task = asyncio.create_task(control(path, commands).run())
    while not path.exists():  # noqa: ASYNC110 - the server tells nobody when it is there
        await asyncio.sleep(0)
    yield path, commands
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_status_is_answered(served):
    path, _ = served
    assert await asyncio.to_thread(ask, path, {"do": "status"}) == {"ok": True, "up": 1}


async def test_the_socket_is_closed_to_others(served):
    """Owner and group only."""
    path, _ = served
    assert os.stat(path).st_mode & 0o007 == 0


async def test_the_sockets_mode_is_not_made_by_the_umask(tmp_path, monkeypatch):
    """The umask is the whole process's: a folder that a journal's thread made meanwhile could not be entered."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was changed"))
    path = tmp_path / "control.sock"
    task = asyncio.create_task(control(path).run())
    await until(path.exists)
    assert os.stat(path).st_mode & 0o777 == 0o660
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_command_records_the_person_and_the_user_behind_the_socket(served):
    """A name can be invented, the kernel's user id cannot."""
    path, commands = served
    answer = await asyncio.to_thread(
        ask, path, {"do": "acknowledge", "alarm": "fire-1203", "who": "王师傅", "why": "on my way"}
    )
    assert answer["ok"]
    (command,) = commands
    assert (command.action, command.alarm, command.why) == (Action.ACKNOWLEDGE, "fire-1203", "on my way")
    assert command.who.startswith("王师傅 (")
    assert f"uid {os.getuid()}" in command.who


async def test_hiding_an_alarm_needs_a_name_and_a_time_that_is_one(served):
    """The user id of the cabinet is no person."""
    path, commands = served
    for action in ("shelve", "unshelve", "take_out", "return"):
        answer = await asyncio.to_thread(ask, path, {"do": action, "alarm": "x", "who": " ", "why": "y", "for_s": 60})
        assert "who you are" in answer["en"]
    asked = {"do": "shelve", "alarm": "x", "who": "Li", "why": " paint ", "value": "v"}
    for wrong in (True, "60", 0, -1, 1e12, [], float("nan"), float("inf")):
        assert "seconds" in (await asyncio.to_thread(ask, path, asked | {"for_s": wrong}))["en"]
    assert commands == []
    assert (await asyncio.to_thread(ask, path, asked | {"for_s": 60}))["ok"]
    (command,) = commands
    assert (command.action, command.why, command.for_s, command.value) == (Action.SHELVE, "paint", 60.0, "v")


async def test_an_endless_line_ends_the_connection_and_nothing_else(served):
    path, _ = served
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"x" * (LINE_BYTES * 3))
    assert await reader.read() == b""
    writer.close()
    assert (await asyncio.to_thread(ask, path, {"do": "status"}))["ok"]


def test_a_refused_command_says_why_in_both_languages():
    it = control(refusal=Text("没有这个报警", "no such alarm"))
    answer = it.answer(b'{"do": "reset", "alarm": "x"}', "uid 1")
    assert answer == {"ok": False, "zh": "没有这个报警", "en": "no such alarm"}


def test_a_view_may_refuse():
    def view(_):
        raise Refused(Text("无", "none"))

    assert control(views={"read": view}).answer(b'{"do": "read"}', "") == {"ok": False, "zh": "无", "en": "none"}


def test_a_bug_in_a_view_is_answered_and_noted():
    guard_seen = control(views={"status": lambda _: 1 / 0})
    answer = guard_seen.answer(b'{"do": "status"}', "")
    assert not answer["ok"]
    assert "internal" in answer["en"]


@pytest.mark.parametrize("line", [b"", b"[]", b"nonsense", b'{"do": "rm -rf"}', b'{"do": null}', b"[" * 60_000])
def test_nonsense_is_refused_with_words(line):
    answer = control().answer(line, "")
    assert not answer["ok"]
    assert answer["zh"]
    assert answer["en"]


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_no_line_raises(line):
    """Whatever comes over the socket, an answer goes back."""
    assert isinstance(control().answer(line, "")["ok"], bool)


async def test_a_path_that_is_no_socket_is_left_alone(tmp_path):
    """A slip in the site file must not delete a file."""
    path = tmp_path / "site.yaml"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        await control(path).run()
    assert path.read_text() == "precious"


def test_the_end_of_the_gateway_is_no_error_to_whoever_looks_at_its_console(tmp_path, caplog):
    """A connection that is open then is closed, and no trace of it is in the log."""

    async def play():
        control = Control(tmp_path / "s", {}, lambda command: None, SystemClock(), Guard())
        serving = asyncio.create_task(control.run())
        await until(lambda: (tmp_path / "s").exists())
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        await until(lambda: control._open == 1)
        serving.cancel()
        await asyncio.wait((serving,))
        writer.close()

    asyncio.run(play())
    assert [record for record in caplog.records if record.name == "asyncio"] == []
