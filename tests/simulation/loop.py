"""Virtual time: an event loop that never waits and touches no socket, and the doors that stand in for its servers.

Guarantees
* Time goes on only when nothing is ready, and then to the next timer; what happens is a function of what was scheduled.
* A server of the gateway (terminals that call, the control socket) is a `Door`: `Door.call` is a connection to it, carried
  by the loop itself. Signals are kept, to be given by `VirtualLoop.signal`.
* A loop that can never go on again says so (`Stuck`) instead of hanging.
"""

import asyncio
import selectors
import struct


class Stuck(Exception):
    """Nothing is scheduled: nobody will ever wake up."""


class _Selector(selectors.BaseSelector):
    """Watches nothing; to wait is to let the loop's time go on."""

    def __init__(self, loop):
        self._loop = loop
        self._keys = {}

    def register(self, fileobj, events, data=None):
        self._keys[fileobj] = key = selectors.SelectorKey(fileobj, -1, events, data)
        return key

    def unregister(self, fileobj):
        return self._keys.pop(fileobj)

    def get_map(self):
        return self._keys

    def get_key(self, fileobj):
        return self._keys[fileobj]

    def select(self, timeout=None):
        if timeout is None:
            raise Stuck("nothing is scheduled any more")
        if timeout > 0:
            self._loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now` is the monotonic time of one boot of a machine."""

    def __init__(self, now):
        self.now = now
        self.doors = {}
        """By port number, or ``control``."""
        self.errors = []
        """What went wrong and nobody took: a simulation has failed if there is any."""
        self._signals = {}
        super().__init__(_Selector(self))
        self.set_exception_handler(lambda loop, context: self.errors.append(context))

    def time(self):
        return self.now

    def call_soon_threadsafe(self, callback, *args, context=None):
        """There is one thread."""
        return self.call_soon(callback, *args, context=context)

    def add_signal_handler(self, sig, callback, *args):
        self._signals[sig] = (callback, args)

    def remove_signal_handler(self, sig):
        return self._signals.pop(sig, None) is not None

    def signal(self, sig):
        callback, args = self._signals[sig]
        self.call_soon(callback, *args)

    def remove_reader(self, fd):
        """Here nobody is ever half way in."""
        return fd in self.doors or super().remove_reader(fd)

    async def create_server(self, factory, host=None, port=None, **_):
        return self._door(factory, port, None)

    async def create_unix_server(self, factory, path=None, *, sock=None, **_):
        return self._door(factory, "control", sock)

    def _door(self, factory, name, sock):
        self.doors[name] = door = Door(self, factory, name, sock)
        return door


class _Name:
    """As much of a socket as a server is asked for."""

    def __init__(self, port):
        self._port = port

    def fileno(self):
        return self._port

    def getsockname(self):
        return ("127.0.0.1", self._port)

    def getsockopt(self, level, option, size):
        """SO_PEERCRED: root."""
        return struct.pack("3i", 1, 0, 0)


class Door(asyncio.AbstractServer):
    """A server that nobody but the simulation can reach."""

    def __init__(self, loop, factory, name, sock):
        self._loop, self._factory, self._name, self._sock = loop, factory, name, sock
        self.sockets = [_Name(name)]
        self.open = True

    def call(self, heard):
        """A connection; `heard(data)` gets what the server says, empty bytes when it hangs up."""
        protocol = self._factory()
        call = Call(self._loop, protocol, heard)
        protocol.connection_made(call)
        return call

    def close(self):
        self.open = False
        self._loop.doors.pop(self._name, None)
        if self._sock is not None:
            self._sock.close()

    async def wait_closed(self):
        """Nothing waits."""

    async def serve_forever(self):
        try:
            await self._loop.create_future()
        finally:
            self.close()

    def is_serving(self):
        return self.open

    def get_loop(self):
        return self._loop


class Call(asyncio.Transport):
    """The server's end of a connection."""

    def __init__(self, loop, protocol, heard):
        super().__init__({"peername": ("127.0.0.1", 1), "socket": _Name(0)})
        self._loop, self._protocol, self._heard = loop, protocol, heard
        self._closed = False

    def say(self, data):
        """The caller says something."""
        if not self._closed:
            self._loop.call_soon(self._say, data)

    def hang_up(self):
        """The caller goes."""
        self._close()

    def write(self, data):
        if not self._closed:
            self._loop.call_soon(self._heard, bytes(data))

    def close(self):
        if not self._closed:
            self._loop.call_soon(self._heard, b"")
        self._close()

    def abort(self):
        self.close()

    def is_closing(self):
        return self._closed

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        """What is said is heard."""

    def resume_reading(self):
        """See `pause_reading`."""

    def _say(self, data):
        if not self._closed:
            self._protocol.data_received(data)

    def _close(self):
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._protocol.connection_lost, None)
