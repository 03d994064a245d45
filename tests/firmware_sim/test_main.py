"""The simulator as its callers have it: a process, a directory, a pipe."""

import asyncio
import json
import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from firmware_sim.log import read
from tests.firmware_sim.conftest import SCENE
from tests.serving import shut
from tests.waiting import until

STORY = """
story:
  - {at: 0.1, set: {smoke-1/alarm: 1}}
  - {at: 0.2, ramp: {point: smoke-1/density, to: 1.21, over_s: 1}}
  - {at: 0.3, link: stall}
  - {at: 0.4, fault: {device: smoke-2, what: silent}}
"""


@pytest.fixture
async def start(tmp_path, templates):
    """`start(scene)` runs the process and waits until it is ready."""
    started = []

    async def run(text):
        path, directory = tmp_path / "scene.yaml", tmp_path / "run"
        path.write_text(text)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "firmware_sim", path, "--dir", directory, "--templates", templates,
            stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        await until(lambda: process.returncode is not None or (directory / "ports.json").exists(), 20)

        def say(**command):
            process.stdin.write(json.dumps(command).encode() + b"\n")

        def log(event):
            return [entry for entry in read(directory / "simulator.jsonl") if entry["event"] == event]

        def ports():
            return json.loads((directory / "ports.json").read_text())

        return SimpleNamespace(process=process, say=say, log=log, ports=ports)

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_says_its_ports_and_plays_the_story(start):
    """A line's terminal, a server's port; after `go`, each step at its time; foreign steps are left alone."""
    sim = await start(SCENE + STORY)
    ports = sim.ports()
    assert ports.keys() == {"line-1", "box"}
    assert ports["line-1"].startswith("/dev/")
    sim.say(go=time.time())
    await until(lambda: sim.log("fault") and len(sim.log("change")) >= 11, 10)
    (go,) = sim.log("go")
    changes = sim.log("change")
    assert [change["point"] for change in changes] == ["alarm"] + ["density"] * 10
    assert changes[-1]["value"] == 1.21
    for change, at in zip(changes, [0.1, *(0.2 + 0.1 * step for step in range(1, 11))], strict=True):
        assert -0.001 <= change["mono"] - go["mono"] - at <= 0.5
    sim.say(stop=True)
    assert await asyncio.wait_for(sim.process.wait(), 10) == 0
    assert len(sim.log("stop")) == 1


async def test_its_line_and_server_answer(start):
    """Through the ports that it said; what was answered is in the log and can be built up again from changes."""
    sim = await start(SCENE)
    sim.say(set={"smoke-1/density": 7.5})
    await until(lambda: sim.log("change"))
    line = os.open(sim.ports()["line-1"], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    os.write(line, bytes.fromhex("010300000002C40B"))
    await until(lambda: sim.log("answer"))
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.ports()["box"])
    writer.write(bytes.fromhex("000100000006" + "09" + "0300000001"))
    assert (await asyncio.wait_for(reader.readexactly(11), 5)).hex() == "000100000005" + "09" + "03020096"
    await until(lambda: len(sim.log("answer")) == 2)
    assert [(entry["device"], entry["points"]) for entry in sim.log("answer")] == [
        ("smoke-1", {"density": 7.5, "alarm": 0, "fault": 0}),
        ("smoke-9", {"density": 1.5}),
    ]
    assert os.read(line, 100)[:7].hex() == "01030402ee0000"
    os.close(line)
    writer.close()


async def test_its_terminals_call_whom_they_are_told(start):
    """`connect` by device."""
    called = asyncio.Event()

    async def take(reader, writer):
        if (await reader.read(100))[:2] == b"\xa5\x5a":
            called.set()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    sim = await start(SCENE)
    sim.say(connect={"hydrant-1": ["127.0.0.1", server.sockets[0].getsockname()[1]]})
    await asyncio.wait_for(called.wait(), 10)
    await shut(server)


@pytest.mark.parametrize(
    "command",
    [
        b"nonsense",
        b"[]",
        b'{"dance": 1}',
        b'{"set": {"smoke-1/density": 1e9}}',
        b'{"set": 3}',
        b'{"fault": {"device": "smoke-1", "what": "ill"}}',
        b'{"connect": {"nobody": ["h", 1]}}',
        b'{"connect": {"hydrant-1": 3}}',
        b'{"go": "now"}',
    ],
)
async def test_a_command_that_cannot_be_followed_is_logged_and_harmless(start, command):
    """The next one is followed."""
    sim = await start(SCENE)
    sim.process.stdin.write(command + b"\n")
    sim.say(set={"smoke-1/alarm": 1})
    await until(lambda: sim.log("change"))
    (refused,) = sim.log("refused")
    assert refused["command"] == command.decode()
    assert refused["why"]


@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGINT"])
async def test_it_ends_cleanly(start, how):
    """Exit code 0, nothing on standard error, `stop` as the last entry."""
    sim = await start(SCENE)
    if how == "end of input":
        sim.process.stdin.close()
    else:
        sim.process.send_signal(signal.Signals[how])
    _, errors = await asyncio.wait_for(sim.process.communicate(), 10)
    assert (sim.process.returncode, errors) == (0, b"")
    assert len(sim.log("stop")) == 1


async def test_a_scene_with_mistakes_is_refused(start):
    """All of them on standard error, exit code 2, nothing opened."""
    sim = await start("lamps: []\nlines: [{}]")
    _, errors = await sim.process.communicate()
    assert sim.process.returncode == 2
    assert b"lamps: there is no such part" in errors
    assert b"lines[0]: id is missing" in errors
