"""The bench's devices: cheap, but still right."""

import asyncio
import json
import sys

import pytest
from pymodbus.client import AsyncModbusTcpClient

from firmware_sim.load import Device
from firmware_sim.log import read
from tests.waiting import until


def request(transaction=1, unit=1, function=3, start=0, count=2, length=6, protocol=0):
    return (
        b"".join(n.to_bytes(2) for n in (transaction, protocol, length))
        + bytes([unit, function])
        + start.to_bytes(2)
        + count.to_bytes(2)
    )


def registers(answer):
    return [int.from_bytes(answer[index : index + 2]) for index in range(9, len(answer), 2)]


def test_every_register_changes_with_every_answer():
    """Register r of answer n is n + r, modulo 65536."""
    device = Device(125)
    assert registers(device.answer(request(start=3, count=4), 0)) == [4, 5, 6, 7]
    assert registers(device.answer(request(start=3, count=4), 0)) == [5, 6, 7, 8]
    device.answers = 65530
    assert registers(device.answer(request(count=125), 0))[:6] == [65531, 65532, 65533, 65534, 65535, 0]


def test_a_stepping_register_holds_its_value():
    """Of unit 1 only, and wherever the read begins."""
    device = Device(40)
    device.step_at, device.step_value = 7, 1000
    assert registers(device.answer(request(start=6, count=3), 0)) == [7, 1000, 9]
    assert registers(device.answer(request(start=7, count=1), 0)) == [1000]
    assert registers(device.answer(request(start=0, count=7), 0)) == [3, 4, 5, 6, 7, 8, 9]
    assert registers(device.answer(request(start=7, count=1, unit=2), 0)) == [11]


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"function": 6}, 1), ({"start": 39}, 2), ({"count": 0}, 3), ({"count": 126}, 3)],
)
def test_what_it_has_not_got_is_refused(fields, code):
    """With the transaction number, the unit and the exception."""
    assert Device(40).answer(request(transaction=0x1234, unit=5, **fields), 0)[:9] == bytes.fromhex(
        "12340000000305"
    ) + bytes([fields.get("function", 3) | 0x80, code])


@pytest.mark.parametrize("fields", [{"protocol": 1}, {"length": 7}])
def test_what_is_no_request_has_no_answer(fields):
    """The connection ends."""
    assert Device(40).answer(request(**fields), 0) is None


@pytest.fixture
async def process(tmp_path):
    """Three devices of 40 registers, one of which steps every 50 ms."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firmware_sim.load", "--dir", tmp_path, "--devices", "3", "--registers", "40",
        "--step", "load-001/5", "--every", "0.05", "--step-value", "777",
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await until(lambda: (tmp_path / "ports.json").exists(), 20)
    yield process
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_an_independent_client_reads_them_while_one_steps(process, tmp_path):
    """Each device on its own port; each step is in the log, alternating, with its time."""
    ports = json.loads((tmp_path / "ports.json").read_text())
    assert list(ports) == ["load-000", "load-001", "load-002"]
    seen = set()
    async with AsyncModbusTcpClient("127.0.0.1", port=ports["load-001"]) as client:
        assert (await client.read_holding_registers(0, count=3)).registers == [1, 2, 3]
        while seen != {0, 777}:
            seen.add((await client.read_holding_registers(5, count=1)).registers[0])
    steps = [entry for entry in read(tmp_path / "simulator.jsonl") if entry["event"] == "change"]
    assert {(step["device"], step["point"]) for step in steps} == {("load-001", "5")}
    assert [step["value"] for step in steps[:2]] == [777, 0][: len(steps)]


async def test_pipelined_and_torn_requests_are_answered(process, tmp_path):
    """Whatever pieces the stream comes in."""
    ports = json.loads((tmp_path / "ports.json").read_text())
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["load-000"])
    stream = request(1) + request(2) + request(3)
    for begin in range(0, len(stream), 5):
        writer.write(stream[begin : begin + 5])
        await writer.drain()
    answers = await asyncio.wait_for(reader.readexactly(3 * 13), 5)
    assert [int.from_bytes(answers[13 * n : 13 * n + 2]) for n in range(3)] == [1, 2, 3]
    writer.close()


async def test_it_ends_with_its_input(process):
    """Exit code 0 and nothing on standard error."""
    process.stdin.close()
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, errors) == (0, b"")
