"""The relay as a process: it passes bytes, stalls half-open, is cut, and comes back on its port."""

import asyncio
import contextlib
import json
import signal
import sys

import pytest

from firmware_sim import link
from tests.waiting import until


class Modem:
    """The relay process; `open` gives a connection through it."""

    def __init__(self, directory, to_port):
        self.file = directory / "link.json"
        self.to_port = to_port
        self.port = 0
        self.process = None
        self.opened = []

    async def start(self):
        self.file.unlink(missing_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "firmware_sim.link", "--listen", str(self.port),
            "--to", f"127.0.0.1:{self.to_port}", "--announce", str(self.file),
        )  # fmt: skip
        await until(self.file.exists, 10)
        told = json.loads(self.file.read_text())
        assert told["pid"] == self.process.pid
        self.port = told["port"]

    async def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        return await self.process.wait()

    async def open(self):
        connection = await asyncio.open_connection("127.0.0.1", self.port, limit=2**21)
        self.opened.append(connection[1])
        return connection

    async def end(self):
        """Nothing stays behind: neither the process nor a socket."""
        await self.kill()
        for writer in self.opened:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Echo:
    """The far side: answers each line in capitals; counts connections."""

    def __init__(self):
        self.ended = 0
        self.writers = []

    async def __call__(self, reader, writer):
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
            writer.write(b"BYE\n")
        self.ended += 1
        writer.close()


@pytest.fixture
async def far():
    echo = Echo()
    async with await asyncio.start_server(echo, "127.0.0.1", 0, limit=2**20) as server:
        echo.port = server.sockets[0].getsockname()[1]
        yield echo
        for writer in echo.writers:
            writer.transport.abort()


@pytest.fixture
async def modem(tmp_path, far):
    modem = Modem(tmp_path, far.port)
    await modem.start()
    yield modem
    await modem.end()


async def say(connection, line):
    connection[1].write(line)
    await connection[1].drain()
    return await connection[0].readline()


async def test_bytes_pass_both_ways_and_ends_pass_one_by_one(modem, far):
    """After the near side's end of file the far side still says goodbye."""
    near = await modem.open()
    assert await say(near, b"hello\n") == b"HELLO\n"
    near[1].write_eof()
    assert await asyncio.wait_for(near[0].read(), 5) == b"BYE\n"
    await until(lambda: far.ended == 1)


async def test_a_mebibyte_arrives_whole(modem):
    """Nothing lost or reordered with back-pressure on both sides."""
    near = await modem.open()
    sent = bytes(range(97, 123)) * 40_000 + b"\n"
    near[1].write(sent)
    assert await asyncio.wait_for(near[0].readuntil(b"\n"), 10) == sent.upper()


async def test_a_stalled_link_is_half_open_and_heals(modem, far):
    """SIGSTOP: nothing passes, nothing is closed, a new connection is accepted and silent; SIGCONT: all of it comes."""
    near = await modem.open()
    assert await say(near, b"before\n") == b"BEFORE\n"
    modem.process.send_signal(signal.SIGSTOP)
    late = asyncio.ensure_future(say(near, b"during\n"))
    new = await asyncio.wait_for(modem.open(), 5)
    answer = asyncio.ensure_future(say(new, b"new\n"))
    done, _ = await asyncio.wait({late, answer}, timeout=0.3)
    assert not done
    assert not near[0].at_eof()
    assert far.ended == 0
    modem.process.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(late, 5) == b"DURING\n"
    assert await asyncio.wait_for(answer, 5) == b"NEW\n"


async def test_a_cut_link_closes_both_sides_and_comes_back_on_its_port(modem, far):
    """SIGKILL: both sides see it, new connections are refused; then the same port works again."""
    near = await modem.open()
    assert await say(near, b"x\n") == b"X\n"
    await modem.kill()
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(near[0].read(), 5) == b""
    await until(lambda: far.ended == 1)
    with pytest.raises(ConnectionRefusedError):
        await modem.open()
    port = modem.port
    await modem.start()
    assert modem.port == port
    near = await modem.open()
    assert await say(near, b"again\n") == b"AGAIN\n"


async def test_with_nobody_on_the_far_side_the_near_side_is_closed(tmp_path, far):
    """The broker is gone: the gateway sees the end, and the modem goes on."""
    async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0) as server:
        dead_port = server.sockets[0].getsockname()[1]
    modem = Modem(tmp_path, dead_port)
    await modem.start()
    try:
        for _ in range(2):
            reader, _ = await modem.open()
            assert await asyncio.wait_for(reader.read(), 5) == b""
    finally:
        assert modem.process.returncode is None
        await modem.end()


async def test_a_reset_far_side_ends_the_near_one(modem, far):
    """What the broker does to one connection reaches the gateway."""
    near = await modem.open()
    assert await say(near, b"x\n") == b"X\n"
    far.writers[0].transport.abort()
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(near[0].read(), 5) == b""


async def test_sigterm_ends_it_in_order(modem):
    """Status 0, with connections open."""
    near = await modem.open()
    assert await say(near, b"x\n") == b"X\n"
    modem.process.terminate()
    assert await asyncio.wait_for(modem.process.wait(), 5) == 0


@pytest.mark.parametrize(
    ("text", "meant"),
    [("localhost:8883", ("localhost", 8883)), ("[::1]:1", ("::1", 1)), ("10.0.0.1:65535", ("10.0.0.1", 65535))],
)
def test_addresses(text, meant):
    """HOST:PORT, with IPv6 in brackets."""
    assert link.address(text) == meant


@pytest.mark.parametrize("text", ["", "8883", "host:", "host:0", "host:65536", ":1", "host:x"])
def test_wrong_addresses_are_a_usage_error(text, tmp_path, capsys):
    """argparse says what is wrong; exit 2."""
    with pytest.raises(SystemExit) as end:
        link.main(["--to", text, "--announce", str(tmp_path / "x")])
    assert end.value.code == 2
    assert "--to" in capsys.readouterr().err
