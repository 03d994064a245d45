"""``gengfu decode``: bytes of a wire in words, field by field, in both languages. Pure; the drivers' own codecs do it.

Guarantees
* `decode` gives a `Reading` or raises `Undecodable` with one reason, whatever the bytes are; oddities that do not
  prevent reading are its warnings.
* `stream` gives back every byte: in a frame, or in a skipped piece with the reason.

It needs no gateway and no site: what registers and points mean is the template's business, not the frame's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from drivers.gb26875_dialect import DIALECTS
from gateway.decode import bwm826, gb26875, meokon, modbus
from gateway.decode.reading import Piece, Reading, Undecodable
from gateway.model import Text

__all__ = ["DIALECTS", "PROTOCOLS", "Piece", "Reading", "Undecodable", "decode", "from_hex", "stream"]


class Protocol(NamedTuple):
    """How one protocol is read."""

    read: Callable[[bytes], Reading]
    sizes: Callable[[bytes], Iterable[int]]
    """How long the frame that begins these bytes may be: candidates, most likely first."""


PROTOCOLS: dict[str, Protocol | None] = {
    "gb26875": None,  # has dialects and a stream of its own
    "modbus-rtu": Protocol(modbus.read_rtu, modbus.rtu_sizes),
    "modbus-tcp": Protocol(modbus.read_tcp, modbus.tcp_sizes),
    "bwm826": Protocol(bwm826.read, bwm826.sizes),
    "meokon": Protocol(meokon.read, meokon.sizes),
}


def from_hex(text: str) -> bytes:
    """Bytes from hex with spaces and line ends anywhere. Raises `Undecodable`."""
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError:
        raise Undecodable("hex", Text("不是十六进制字节", "not bytes in hex")) from None


def decode(protocol: str, data: bytes, dialect: str = "standard") -> Reading:
    """The one frame in `data`. Raises `Undecodable`; KeyError for an unknown protocol or dialect."""
    known = PROTOCOLS[protocol]
    return known.read(data) if known else gb26875.read(data, DIALECTS[dialect])


def stream(protocol: str, data: bytes, dialect: str = "standard") -> list[Piece]:
    """All frames in `data`, in order, and what lies between them. Raises KeyError like `decode`."""
    known = PROTOCOLS[protocol]
    return _cut(known, data) if known else gb26875.stream(data, DIALECTS[dialect])


def _cut(protocol: Protocol, data: bytes) -> list[Piece]:
    pieces: list[Piece] = []
    at = skipped = 0
    why: Undecodable | None = None
    while at < len(data):
        piece = _first(protocol, data[at:])
        if piece.reading is None:
            why, at = why or piece.error, at + 1
            continue
        if at > skipped:
            pieces.append(Piece(data[skipped:at], None, why))
        pieces.append(piece)
        at += len(piece.data)
        skipped, why = at, None
    return [*pieces, Piece(data[skipped:], None, why)] if at > skipped else pieces


def _first(protocol: Protocol, data: bytes) -> Piece:
    """The frame at the beginning of `data`, or why there is none."""
    error: Undecodable | None = None
    for size in protocol.sizes(data):
        try:
            return Piece(data[:size], protocol.read(data[:size]), None)
        except Undecodable as refused:
            error = error or refused
    return Piece(b"", None, error)
