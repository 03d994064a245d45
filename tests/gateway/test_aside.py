"""Calls that hang, on threads of their own."""

import asyncio
import os
import threading

import pytest

from gateway.field import port
from gateway.field.aside import aside
from gateway.model import BusKind, BusSpec
from tests.serving import shut
from tests.waiting import until


async def test_it_gives_what_the_call_gives_and_raises_what_it_may(monkeypatch):
    """A result, an error of the stated family, and a bug, which is never waited for without end and gets its traceback."""
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    assert await aside("one", lambda: 7) == 7
    with pytest.raises(FileNotFoundError):
        await aside("none", lambda: os.open("/no/such/port", os.O_RDWR))
    with pytest.raises(RuntimeError, match="a bug in odd"):
        await aside("odd", lambda: {}["nothing"])
    await until(lambda: [one.exc_type for one in told] == [KeyError])


async def test_what_comes_after_nobody_waits_is_given_back():
    """An adapter that opens at last must not stay open, and locked, without an owner."""
    hang, returned = threading.Event(), []
    waiting = asyncio.ensure_future(aside("slow", lambda: hang.wait() and "port", unwanted=returned.append))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hang.set()
    await until(lambda: returned == ["port"])


async def test_hanging_adapters_do_not_starve_name_look_ups(monkeypatch):
    """More of them than asyncio's shared pool has threads: a host is still found."""
    hang = threading.Event()

    def sick_port(spec):
        hang.wait()
        raise OSError("gone")

    monkeypatch.setattr(port, "open_serial", sick_port)
    serial = [BusSpec(f"line-{n}", BusKind.SERIAL, port="/dev/sick") for n in range(40)]
    sick = [asyncio.ensure_future(port.open_port(spec)) for spec in serial]
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    tcp_port = server.sockets[0].getsockname()[1]
    opened = await port.open_port(BusSpec("box", BusKind.TCP, host="localhost", tcp_port=tcp_port))
    opened.close()
    await shut(server)
    assert not any(one.done() for one in sick)
    hang.set()
    await asyncio.gather(*sick, return_exceptions=True)
