"""A TCP proxy of our own between gateway and broker: half-open, slow, or cut, on command.

    async with Proxy(port) as proxy:      # proxy.port
        proxy.passing.clear()             # half-open: nothing passes, nothing is closed, connections are still taken
        proxy.bytes_per_s = 8_000         # 64 kbit/s in each direction, one bucket for all connections
        proxy.cut()                       # every connection is reset

It looks at no byte and holds at most `CHUNK_BYTES` in each direction, so that a slow side slows the other one.
"""

import asyncio
import contextlib
import socket

from tests.serving import shut

CHUNK_BYTES = 4096
BUFFER_BYTES = 4096
"""Of the sockets: a modem has no megabytes either."""


class Proxy:
    def __init__(self, to, host="127.0.0.1"):
        self.to, self.host = to, host
        self.port = 0
        self.bytes_per_s = 0
        self.passing = asyncio.Event()
        self.passing.set()
        self._free_at = [0.0, 0.0]
        self._server = None
        self._tasks = set()
        self._writers = set()

    async def __aenter__(self):
        listener = socket.create_server((self.host, 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._server = await asyncio.start_server(self._relay, sock=listener, limit=CHUNK_BYTES)
        self.port = listener.getsockname()[1]
        return self

    async def __aexit__(self, *_):
        await shut(self._server)
        self.passing.set()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self):
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        ends = [writer]
        self._writers.add(writer)
        pumps = []
        with contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(self.host, self.to, limit=CHUNK_BYTES)
            ends.append(far_writer)
            self._writers.add(far_writer)
            for each in ends:
                each.transport.set_write_buffer_limits(CHUNK_BYTES)
            ways = ((reader, far_writer, 0), (far_reader, writer, 1))
            pumps = [asyncio.ensure_future(self._pump(*way)) for way in ways]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for each in ends:
            each.transport.abort()
            self._writers.discard(each)

    async def _pump(self, source, sink, way):
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await self.passing.wait()
                await self._pace(len(data), way)
                sink.write(data)
                await sink.drain()

    async def _pace(self, size, way):
        """Each direction is a line of its own."""
        if not self.bytes_per_s:
            return
        now = asyncio.get_running_loop().time()
        self._free_at[way] = max(now, self._free_at[way]) + size / self.bytes_per_s
        await asyncio.sleep(self._free_at[way] - now)
