"""The Modbus TCP server against pymodbus's own client, and raw where a client would hide what came."""

import asyncio
from random import Random

import pytest
from pymodbus.client import AsyncModbusTcpClient

from firmware_sim.server import Server
from tests.waiting import until

READ = bytes.fromhex("0300000003")
DATA = bytes.fromhex("0306" + "0096" + "0001" + "0000")


@pytest.fixture
async def port(world):
    """The scene's server."""
    spec = world.scene.servers[0]
    server = Server(spec.id, spec.units, world.field, world.log, Random(1), spec.response_s)
    yield await server.start()
    await server.close()


@pytest.fixture
async def client(port):
    """pymodbus's client, connected."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
    assert await client.connect()
    yield client
    client.close()


@pytest.fixture
async def raw(port):
    """A plain connection: `ask(transaction)` sends a read of unit 9, `got(count)` waits for so many bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    class Raw:
        def ask(self, *transactions, unit=9, pdu=READ):
            frames = (n.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu for n in transactions)
            writer.write(b"".join(frames))

        async def got(self, count, timeout_s=5):
            return await asyncio.wait_for(reader.readexactly(count), timeout_s)

    yield Raw()
    writer.close()


def frame(transaction, pdu=DATA, unit=9):
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


async def test_an_independent_client_reads_the_values(client, world):
    """Registers and discrete inputs of two units; the log says what they carried."""
    registers = await client.read_holding_registers(0, count=3, device_id=9)
    inputs = await client.read_discrete_inputs(0, count=3, device_id=10)
    assert registers.registers == [150, 1, 0]
    assert inputs.bits[:3] == [True, False, False]
    await until(lambda: len(world.entries("answer")) == 2)
    assert [entry["points"] for entry in world.entries("answer")] == [
        {"density": 1.5, "alarm": 1, "fault": 0, "temperature": 0},
        {"door_open": 1, "lock_engaged": 0, "exit_button": 0},
    ]


async def test_a_change_is_seen_by_the_next_read(client, world):
    """Set, then read: the new value, and the change is in the log before the answer."""
    world.field.set({"smoke-9/density": 7.5, "smoke-9/temperature": -1.2})
    registers = await client.read_holding_registers(0, count=3, device_id=9)
    assert registers.registers == [750, 1, 0x10000 - 12]
    await until(lambda: world.entries("answer"))
    assert world.entries("change")[0]["mono"] < world.entries("answer")[0]["mono"]


async def test_an_independent_client_is_refused(client):
    """Outside the map: exception 2; a unit that is not there: 0B."""
    assert (await client.read_holding_registers(2, count=2, device_id=9)).exception_code == 2
    assert (await client.read_coils(0, count=1, device_id=9)).exception_code == 2
    assert (await client.write_register(0, 1, device_id=9)).exception_code == 1
    assert (await client.read_holding_registers(0, count=1, device_id=77)).exception_code == 0x0B


async def test_pipelined_requests_are_all_answered(raw):
    """In order, each with its own transaction number."""
    raw.ask(1, 2, 3)
    assert await raw.got(3 * 15) == frame(1) + frame(2) + frame(3)


async def test_a_late_answer_keeps_its_transaction_number_and_holds_up_nobody(raw, world):
    """Asked 1 (late) then 2: 2 comes first, then 1 with what was true when it was asked."""
    world.field.set_fault({"device": "smoke-9", "what": "late", "after_s": 0.2})
    raw.ask(1)
    raw.ask(2, unit=10, pdu=bytes.fromhex("0200000003"))
    first = await raw.got(10)
    assert first == frame(2, bytes.fromhex("020101"), unit=10)
    assert await raw.got(15) == frame(1)


async def test_silent(raw, world):
    """The next healthy answer is the first thing that comes."""
    world.field.set_fault({"device": "smoke-9", "what": "silent"})
    raw.ask(1)
    await until(lambda: world.entries("spoilt_answer"))
    world.field.set_fault({"device": "smoke-9", "what": "none"})
    raw.ask(2)
    assert await raw.got(15) == frame(2)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"what": "short"}, frame(1)[:7]),
        ({"what": "garbled"}, frame(1)[:2] + b"\xa5\x5a" + frame(1)[4:]),
        ({"what": "foreign"}, frame(1, unit=10)),
        ({"what": "exception", "code": 4}, frame(1, bytes.fromhex("8304"))),
        ({"what": "double", "gap_s": 0.01}, frame(1) + frame(1)),
        ({"what": "slow", "pause_s": 0.002}, frame(1)),
        ({"what": "echo"}, frame(1, READ) + frame(1)),
    ],
)
async def test_each_fault_is_seen_on_the_wire(raw, world, fault, expected):
    """And is over as soon as it is healed."""
    world.field.set_fault({"device": "smoke-9", **fault})
    raw.ask(1)
    assert await raw.got(len(expected)) == expected
    world.field.set_fault({"device": "smoke-9", "what": "none"})
    raw.ask(2)
    assert await raw.got(15) == frame(2)


async def test_babble_comes_before_the_answer(raw, world):
    """Twelve bytes that mean nothing."""
    world.field.set_fault({"device": "smoke-9", "what": "babble"})
    raw.ask(1)
    assert (await raw.got(27))[12:] == frame(1)


@pytest.mark.parametrize("request_hex", ["00015a5a0006090300000001", "000100000001" + "09", "0001000001ff09"])
async def test_a_frame_that_is_none_ends_the_connection(port, world, request_hex):
    """Another protocol, no PDU, longer than any frame: logged, and the client sees the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(bytes.fromhex(request_hex))
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    assert [entry["why"] for entry in world.entries("bad_request")] == ["unreadable"]
    writer.close()
