"""GB/T 26875.3: frames decoded a second, and what one costs on its way through the local centre.

    python bench/gb26875.py

* decode: one frame to a message, by kind: a detector's fire (78 bytes), a device's state, a heart-beat, a full unit of 22
  parts; and the mixture of a site.
* stream: the mixture in reads of 4 KiB, cut into frames first; then the same with every tenth frame damaged.
* centre: each frame through the driver of the local centre with its confirmation, as a connection sees it.

Times are of this machine; take the ratios. Prints the best of five rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # runs from a checkout without being installed

from drivers.contract import Heard, Received, Send, Wait
from drivers.gb26875 import decode
from drivers.gb26875_centre import GB26875
from drivers.gb26875_points import At, Options
from drivers.gb26875_stream import Stream
from firmware_sim.uitd import framed
from gateway.model import Device, Group, Kind, Point

ROUNDS, FRAMES = 5, 4000
TIME = bytes.fromhex("203a091a090c")
PART = bytes.fromhex("0101280a0002000200") + "12层走道烟感".encode("gb18030").ljust(31, b"\0") + TIME


def frame(data: bytes, serial: int = 1) -> bytes:
    head = serial.to_bytes(2, "little") + b"\1\1" + TIME + (889).to_bytes(6, "little") + (88888).to_bytes(6, "little")
    return framed(head, 2, data)


KINDS = {
    "a detector's fire": frame(b"\2\1" + PART),
    "a device's state": frame(b"\x15\1\1" + TIME),
    "a heart-beat": frame(b""),
    "22 parts": frame(b"\2\x16" + PART * 22),
}
MIXTURE = [KINDS["a heart-beat"]] * 6 + [KINDS["a device's state"]] * 2 + [KINDS["a detector's fire"]] * 2


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def best(run: Callable[[], int]) -> float:
    """Frames a second."""
    rates = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        count = run()
        rates.append(count / (time.perf_counter() - begun))
    return max(rates)


def decoded(frames: list[bytes]) -> int:
    for one in frames:
        decode(one)
    return len(frames)


def streamed(data: bytes) -> int:
    stream, found = Stream(), 0
    for at in range(0, len(data), 4096):
        found += sum(piece.message is not None for piece in stream.feed(data[at : at + 4096]))
    return found


def answered(frames: list[bytes]) -> int:
    """Through the local centre: what it hears and sends is taken off it as the listener does."""
    address = int.from_bytes(bytes.fromhex("0a000200"), "little")
    points = (Point("u/fire", "fire", Kind.BOOL, source=At("component", "fire", component_address=address)),)
    device = Device("u", "b", "gb26875", 889, (Group("g", points, 60.0),), options=Options(ask="off", set_clock_s=0))
    assert GB26875.listen is not None
    centre = GB26875.listen({"889": device})
    step, heard, sent = next(centre), 0, 0
    for at, one in enumerate(frames):
        step = centre.send(Received(one, float(at)))
        while not isinstance(step, Wait):
            heard += isinstance(step, Heard)
            sent += isinstance(step, Send)
            step = next(centre)
    if sent != len(frames) or not heard:
        raise RuntimeError(f"{sent} of {len(frames)} frames confirmed, {heard} heard")
    return len(frames)


def main() -> None:
    mixture = (MIXTURE * (FRAMES // len(MIXTURE) + 1))[:FRAMES]
    for name, one in KINDS.items():
        rate = best(partial(decoded, [one] * (FRAMES // (10 if len(one) > 1000 else 1))))
        say(f"decode {name:18} {len(one):5} bytes {rate:9.0f} frames/s")
    say(f"decode the mixture                    {best(partial(decoded, mixture)):9.0f} frames/s")
    data = b"".join(mixture)
    say(f"stream the mixture                    {best(partial(streamed, data)):9.0f} frames/s")
    spoilt = b"".join(
        one[:-3] + bytes([one[-3] ^ 1]) + one[-2:] if n % 10 == 9 else one for n, one in enumerate(mixture)
    )
    say(f"stream, every tenth frame damaged     {best(partial(streamed, spoilt)):9.0f} frames/s")
    say(f"through the centre, confirmed         {best(partial(answered, mixture)):9.0f} frames/s")


if __name__ == "__main__":
    main()
