"""How long a certificate lives: notBefore and notAfter of an X.509 certificate in PEM (RFC 5280, 4.1.2.5), nothing else.

Python's `ssl` does not tell the dates of a certificate that is only loaded, and the library that does costs the daemon 13 MiB.
Whether a certificate can be trusted is `ssl`'s decision alone; these dates only serve to tell a person in time.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from gateway.clock import Clock
from gateway.model import UplinkSpec

LOOK_EVERY_S = 3600.0
LARGEST_BYTES = 256 * 1024
SOON_S = 30 * 86400.0
"""A renewal takes people some days: a fault is raised this long before the end."""
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s+(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _INTEGER, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0


class Validity(NamedTuple):
    """Seconds since 1970 UTC."""

    begins: float
    ends: float


def validity(path: Path) -> Validity:
    """Of the first certificate in a PEM file. Raises OSError, or ValueError when it holds none."""
    with path.open("rb") as file:
        text = file.read(LARGEST_BYTES)
    found = _PEM.search(text)
    if found is None:
        raise ValueError("holds no certificate in PEM format")
    try:
        return _of_der(base64.b64decode(b"".join(found[1].split()), validate=True))
    except (binascii.Error, IndexError) as error:
        raise ValueError("holds a damaged certificate") from error


class Ending:
    """Whether one of the uplinks' certificates ends soon; looks at the files once an hour, on a journal's thread, and
    trusts no clock that is not synchronised: at 1970 nothing ever ends."""

    def __init__(
        self, uplinks: Sequence[UplinkSpec], clock: Clock, submit: Callable[[Callable[[], None]], None]
    ) -> None:
        self._submit = submit
        self._files = [Path(name) for uplink in uplinks for name in (uplink.ca, uplink.certificate)]
        self._clock = clock
        self._ends: list[float] = []
        self._looked_at = float("-inf")

    def soon(self) -> bool:
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._submit(self._look)
        return any(end - self._clock.wall() < SOON_S for end in self._ends) and self._clock.trusted()

    def _look(self) -> None:
        self._ends = [end for path in self._files if (end := _end(path)) is not None]


def _end(path: Path) -> float | None:
    """None where it cannot be read: that is the uplink's own fault to tell."""
    try:
        return validity(path).ends
    except (OSError, ValueError):
        return None


def validity_of(der: bytes) -> Validity:
    """Of a certificate as it came over a connection. Raises ValueError."""
    try:
        return _of_der(der)
    except IndexError as error:
        raise ValueError("holds a damaged certificate") from error


def _of_der(der: bytes) -> Validity:
    certificate = _content(der, 0, _SEQUENCE)[0]
    body = _content(certificate, 0, _SEQUENCE)[0]
    at = 0
    if body[0] == _VERSION:
        at = _content(body, at, _VERSION)[1]
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serial number, signature algorithm, issuer
        at = _content(body, at, tag)[1]
    dates = _content(body, at, _SEQUENCE)[0]
    begins, after = _time(dates, 0)
    return Validity(begins, _time(dates, after)[0])


def _content(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """The content of the element that starts at `at`, and where the next one starts."""
    if data[at] != tag:
        raise ValueError("holds no certificate of X.509")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start : start + count]), start + count
    if start + length > len(data):
        raise ValueError("holds a certificate that is cut")
    return data[start : start + length], start + length


def _time(data: bytes, at: int) -> tuple[float, int]:
    """UTCTime (two digits of the year: 1950 to 2049) or GeneralizedTime, both in UTC."""
    kind = data[at]
    text, after = _content(data, at, _GENERALIZED_TIME if kind == _GENERALIZED_TIME else _UTC_TIME)
    digits = text.decode("ascii", "replace")
    if kind == _UTC_TIME:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    moment = datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return moment.timestamp(), after
