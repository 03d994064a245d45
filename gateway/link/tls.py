"""TLS of an uplink: who is trusted, and a socket that refuses what would take memory.

Guarantees
* TLS 1.3; the broker's certificate and alternative names are verified, the common name never counts; our own
  certificate is always offered; a private key that others can read is refused before it is loaded.
* At 1970, with a clock that nobody has set yet (`Clock.behind`), dates are judged by the floor of the clock instead of by
  OpenSSL: those of the authority's file and of the broker's own certificate; those of certificates between the two are
  then not looked at. Everything else is verified as always.
* A packet larger than `INBOUND_BYTES`, or of QoS 2, raises before its body is read: paho asks for the whole body at
  once, and Python takes the memory before the first byte of it is there.

`Socket` and `Context` inherit from the standard library's, since paho makes its own connection and `sslsocket_class` and
`wrap_socket` are the public places to stand in between.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gateway import certificates, keys
from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.model import UplinkSpec

INBOUND_BYTES = 64 * 1024
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL (X509_VERIFY_PARAM_set_flags(3)); Python has no name for it."""
T = TypeVar("T")


def context(spec: UplinkSpec, clock: Clock) -> Context:
    """Verified on both sides or not at all; raises `LinkError` (refused) when a file does not allow it."""
    try:
        if keys.is_open(Path(spec.key)):
            raise LinkError(f"private key {spec.key} can be read by others: chmod 600 it", refused=True)
        made = Context(ssl.PROTOCOL_TLS_CLIENT)
        made.server_name = spec.server_name or spec.host
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.hostname_checks_common_name = False
        if clock.behind():
            made.verify_flags |= NO_CHECK_TIME
            made.judged_at = clock.wall()
            _check_life(certificates.validity(Path(spec.ca)), made.judged_at, "the authority's certificate")
        made.load_verify_locations(cafile=spec.ca)
        # An empty password: an encrypted key is an error, not a prompt on the console.
        made.load_cert_chain(spec.certificate, spec.key, password="")
    except ssl.SSLError as error:
        raise LinkError(f"certificate, key or authority cannot be used: {words(error)}", refused=True) from error
    except ValueError as error:
        raise LinkError(f"{spec.ca} {error}", refused=True) from error
    except OSError as error:
        raise LinkError(f"{error.filename}: {error.strerror}", refused=True) from error
    return made


def _check_life(life: certificates.Validity, now: float, whose: str) -> None:
    if not life.begins <= now <= life.ends:
        error = ssl.SSLCertVerificationError(f"{whose} is not valid now")
        error.verify_message = f"{whose} is not valid at the earliest time that it can be"
        raise error


class Watch:
    """Reads packet headers as they pass, and refuses what would take memory: the size before the body, and QoS 2."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._length = self._shift = self._left = 0
        self._state = 0  # 0: first byte, 1: remaining length, 2: body

    def feed(self, data: bytes) -> None:
        """Raises `ConnectionError`; paho then closes."""
        offset = 0
        while offset < len(data):
            if self._state == 2:
                step = min(self._left, len(data) - offset)
                self._left -= step
                offset += step
            elif self._state == 1:
                self._length |= (data[offset] & 127) << self._shift
                self._shift += 7
                if self._length > self._limit or self._shift > 28:
                    raise ConnectionError(f"the broker sent a packet of more than {self._limit} bytes")
                self._state, self._left = (1, 0) if data[offset] & 128 else (2, self._length)
                offset += 1
            else:
                if data[offset] & 0xF4 == 0x34:
                    raise ConnectionError("the broker sent QoS 2, which nobody asked for")
                self._state, self._length, self._shift = 1, 0, 0
                offset += 1
            if self._state == 2 and not self._left:
                self._state = 0


class Socket(ssl.SSLSocket):
    """`ssl` makes its sockets by this class, which is the public way to stand between paho and the wire."""

    watch: Watch
    failure: Exception | None = None

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        context = self.context
        assert isinstance(context, Context), "by sslsocket_class"
        if context.judged_at is not None:
            shown = self.getpeercert(binary_form=True) or b""
            _check_life(certificates.validity_of(shown), context.judged_at, "the broker's certificate")

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        data = self._remembering(lambda: super(Socket, self).recv(buflen, flags))
        self._remembering(lambda: self.watch.feed(data))
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        return self._remembering(lambda: super(Socket, self).send(data, flags))

    def _remembering(self, call: Callable[[], T]) -> T:
        """Paho only says that the connection was lost."""
        try:
            return call()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            raise
        except OSError as error:
            self.failure = error
            raise


class Context(ssl.SSLContext):
    """Paho checks the certificate against the host it dials; the site may expect another name."""

    server_name: str
    judged_at: float | None = None
    """Wall time by which we judge dates ourselves; None: OpenSSL does."""
    opened: Socket | None = None
    sslsocket_class = Socket

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        try:
            opened = super().wrap_socket(sock, *args, **{**options, "server_hostname": self.server_name})
        except (OSError, ValueError):
            sock.close()
            raise
        assert isinstance(opened, Socket), "by sslsocket_class"
        opened.watch = Watch(INBOUND_BYTES)
        self.opened = opened
        return opened


def words(error: Exception | None) -> str:
    """OpenSSL's reason without file names and line numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted: {error.verify_message}"
    return str(getattr(error, "reason", None) or error)
