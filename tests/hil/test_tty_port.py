"""The simulator on an existing serial device: here one end of two wired pseudo terminals."""

import os
import select
import time
import tty
from pathlib import Path
from random import Random

import pytest
import serial

import drivers
from firmware_sim import log as sim_log
from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.scene import read
from firmware_sim.tty_port import TtyPort
from tests.hil.wire import Wire

CHARACTER_S = 10 / 9600
SCENE = "lines: [{id: l, devices: [{id: one, template: generic_smoke_loop, address: 1, values: {density: 0.21}}]}]"
REQUEST = bytes.fromhex("01030000 0002 C40B")
REPLY = bytes.fromhex("01030400150000EBF7")


@pytest.fixture
def line(tmp_path):
    (tmp_path / "scene.yaml").write_text(SCENE)
    scene = read(tmp_path / "scene.yaml", Path(drivers.__file__).parent / "templates")
    log = Log(tmp_path / "log.jsonl")
    spec = scene.lines[0]
    yield Line("l", spec.timing, spec.slaves, Field(log, scene.members), log, Random(1))
    log.close()


@pytest.fixture
def written(line, tmp_path):
    """What the simulator wrote down."""
    return lambda: sim_log.read(tmp_path / "log.jsonl")


@pytest.fixture
def wired(line, written):
    """The master's descriptor, and why the simulator complains."""
    wire = Wire(CHARACTER_S)
    port = TtyPort(line, wire.peer, 9600, "N", 1)
    master = os.open(wire.port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(master)
    yield master, lambda: [entry["why"] for entry in written() if "why" in entry]
    os.close(master)
    port.close()
    wire.close()


def received(master, count):
    data = b""
    while len(data) < count:
        assert select.select([master], [], [], 5.0)[0], f"only {data.hex()}"
        data += os.read(master, 4096)
    return data


def test_it_answers_over_the_wire_and_complains_of_nothing(wired):
    """The reply is whole, and never earlier than request and reply take on the wire."""
    master, complaints = wired
    begin = time.monotonic()
    os.write(master, REQUEST)
    assert received(master, len(REPLY)) == REPLY
    assert time.monotonic() - begin >= (len(REQUEST) + len(REPLY)) * CHARACTER_S
    assert complaints() == []


def test_a_request_in_pieces_is_one_request(wired):
    """An adapter hands over in blocks; the pause between them is no end."""
    master, complaints = wired
    os.write(master, REQUEST[:3])
    assert not select.select([master], [], [], 0.008)[0]
    os.write(master, REQUEST[3:])
    assert received(master, len(REPLY)) == REPLY
    assert complaints() == []


def test_a_request_on_the_heels_of_an_answer_is_too_early(wired):
    """Its beginning is reckoned back from when its bytes were there."""
    master, complaints = wired
    os.write(master, REQUEST)
    received(master, len(REPLY))
    os.write(master, REQUEST)
    os.write(master, REQUEST)  # the second at the latest meets no silence at all
    deadline = time.monotonic() + 5.0
    while not set(complaints()) & {"too_early", "gap", "unreadable"}:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.005)


def test_a_device_that_is_none_is_refused(line):
    """An error at once, not a silent line."""
    with pytest.raises(serial.SerialException):
        TtyPort(line, "/dev/no-such-adapter", 9600, "N", 1)


def test_an_adapter_that_is_pulled_ends_the_line_with_a_note(line, written):
    """The other devices of the simulation go on; the log says what was lost."""
    wire = Wire(CHARACTER_S)
    port = TtyPort(line, wire.peer, 9600, "N", 1)
    wire.close()
    deadline = time.monotonic() + 5.0
    while not any(entry["event"] == "lost" for entry in written()):
        assert time.monotonic() < deadline
        select.select([], [], [], 0.005)
    port.close()
