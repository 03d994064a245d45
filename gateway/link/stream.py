"""The bytes of one TLS connection, on the event loop.

Guarantees
* Nothing blocks the loop: name look-up, TCP and TLS handshake run in a thread that nobody waits for at the end; of what
  comes at most twice `READ_BYTES` are looked at in one turn of it.
* What is written within one turn of the loop goes out together, in short TLS records.
* The end is told once, with words for people; what had come before it is told before.

It knows nothing of MQTT.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable

from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.link import tls
from gateway.model import UplinkSpec

CONNECT_S = 5.0
"""For each of: TCP, TLS handshake."""
READ_BYTES = 16 * 1024
COST_BYTES = 256
"""What a TLS record counts for at least when it is read: a system call and a look at what came before."""
RECORD_BYTES = 2 * 1024
"""Of a TLS record, about: what is in one is read when its last byte is there, a quarter of a second later at 64 kbit/s."""
OUTBOUND_BYTES = 4 * 1024 * 1024
"""Written and not taken: far more than an uplink's window holds; only who floods us and does not read comes here."""

_AGAIN = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Stream:
    """Opened once; over once."""

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[LinkError], None]) -> None:
        """`on_data` may raise `LinkError`, which ends the connection."""
        self.version = ""
        self.sent_at = 0.0
        """Loop time of the last bytes that went."""
        self._on_data, self._on_end = on_data, on_end
        self._loop = asyncio.get_running_loop()
        self._socket: ssl.SSLSocket | None = None
        """None before the handshake and after the end."""
        self._out = bytearray()
        self._flushing = self._blocked = self._reading_on = False
        self._written = asyncio.Event()
        """`_out` is empty, or will never be."""

    @property
    def alive(self) -> bool:
        return self._socket is not None

    async def open(self, spec: UplinkSpec, clock: Clock) -> None:
        """Raises `LinkError`."""
        dialled: asyncio.Future[None] = self._loop.create_future()
        # A daemon thread, no executor: at the end of the program nobody waits for a name server that does not answer.
        dial = threading.Thread(target=self._dial, args=(spec, clock, dialled), name=f"dial {spec.id}", daemon=True)
        dial.start()
        await dialled
        assert self._socket is not None, "by _dialled"
        self._socket.setblocking(False)
        self.version = self._socket.version() or ""
        self.sent_at = self._loop.time()
        self._loop.add_reader(self._socket, self._readable)

    def _dial(self, spec: UplinkSpec, clock: Clock, dialled: asyncio.Future[None]) -> None:
        """In the thread. Whatever happens, the loop is told; with the loop gone, the socket is closed here."""
        outcome: ssl.SSLSocket | LinkError = LinkError("dialling failed by a bug, see the log")
        try:
            outcome = _connected(spec, clock)
        except LinkError as error:
            outcome = error
        finally:
            try:
                self._loop.call_soon_threadsafe(self._dialled, dialled, outcome)
            except RuntimeError:  # the loop has ended meanwhile
                if isinstance(outcome, ssl.SSLSocket):
                    outcome.close()

    def _dialled(self, dialled: asyncio.Future[None], outcome: ssl.SSLSocket | LinkError) -> None:
        if isinstance(outcome, ssl.SSLSocket):
            if dialled.cancelled():
                outcome.close()
            else:
                self._socket = outcome
                dialled.set_result(None)
        elif not dialled.cancelled():
            dialled.set_exception(outcome)

    def write(self, data: bytes) -> None:
        """Goes out when the loop's turn ends, with what else is written in it."""
        self._out += data
        if not self._flushing:
            self._flushing = True
            self._written.clear()
            self._loop.call_soon(self._flush)

    async def drained(self) -> None:
        """All that was written went out, or never will."""
        await self._written.wait()

    def end(self, error: LinkError) -> None:
        """Close, and tell why; nothing if it is over."""
        if self._socket is not None:
            self.close()
            self._on_end(error)

    def close(self) -> None:
        """At once; any number of times; nobody is told."""
        self._written.set()
        if self._socket:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None

    def _flush(self) -> None:
        self._flushing = False
        try:
            while self._socket and self._out:
                sent = self._socket.send(self._out[:RECORD_BYTES])
                del self._out[:sent]
                self.sent_at = self._loop.time()
        except _AGAIN:
            self._block(True)
            return
        except OSError as error:
            self._readable()  # the broker's reason may be there
            self._lost(error)
        self._block(False)
        self._written.set()

    def _block(self, blocked: bool) -> None:
        """Whether it takes the socket to go on writing."""
        if self._socket and blocked != self._blocked:
            if blocked:
                self._loop.add_writer(self._socket, self._flush)
            else:
                self._loop.remove_writer(self._socket)
        self._blocked = blocked

    def _readable(self) -> None:
        taken = 0
        try:
            while self._socket and taken < READ_BYTES:
                data = self._socket.recv(READ_BYTES)
                if not data:
                    raise LinkError("the broker closed the connection")
                taken += max(len(data), COST_BYTES)
                self._on_data(data)
                if len(self._out) > OUTBOUND_BYTES:
                    raise LinkError("the broker sends and does not read")
        except _AGAIN:
            return
        except LinkError as error:
            self.end(error)
        except OSError as error:
            self._lost(error)
        if self._socket and not self._reading_on:  # once: who sends faster than we read must not get more of each turn
            self._reading_on = True
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """What TLS has already taken from the socket wakes nobody."""
        self._reading_on = False
        self._readable()

    def _lost(self, error: OSError) -> None:
        refused = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
        words = f"TLS: {tls.words(error)}" if isinstance(error, ssl.SSLError) else str(error)
        self.end(LinkError(words, refused=refused))


def _connected(spec: UplinkSpec, clock: Clock) -> ssl.SSLSocket:
    """Verified; blocks. Raises `LinkError`."""
    trust = tls.trust(spec, clock)
    try:
        plain = socket.create_connection((spec.host, spec.port), CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # No TCP_USER_TIMEOUT: where something between us and the broker has small buffers, Linux takes a window smaller than what
        # waits for a closed one, and ends a connection that does go on. What is not acknowledged in time is seen above.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2)):
            plain.setsockopt(socket.IPPROTO_TCP, option, value)
        return trust.wrap(plain)
    except ssl.SSLError as error:
        refused = isinstance(error, ssl.SSLCertVerificationError)
        raise LinkError(f"TLS: {tls.words(error)}", refused=refused) from error
    except (OSError, ValueError) as error:
        raise LinkError(f"{spec.host}:{spec.port}: {error}") from error
