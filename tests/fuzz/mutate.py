"""A small mutational fuzzer: seeds in, damaged inputs out, the same ones each time for the same seed.

It keeps an input when the target's outcome for it is new (a reason not met before), so that the search goes on from
there; a target's `repair` puts lengths and checksums right in half of the inputs, since damage is else all that is met.
"""

import random
import signal
import time
import tracemalloc
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LONGEST_BYTES = 4096
MOST_CPU_S = 5.0
INTERESTING = (0, 1, 0x23, 0x40, 0x7F, 0x80, 0xFE, 0xFF)
NUMBERS = ((2, (0, 1, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF)), (4, (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))


@dataclass(frozen=True)
class Target:
    """One parser. `run` gives the outcome of an input, any hashable; what it raises is a bug, except what is documented
    and caught in `run` itself."""

    name: str
    run: Callable[[bytes], Hashable]
    seeds: tuple[bytes, ...]
    inputs: int
    """How many make up the share of CI, some seconds."""
    repair: Callable[[bytearray], None] = field(default=lambda data: None)
    words: tuple[bytes, ...] = ()
    """Pieces of the language, to be put in anywhere."""


@dataclass
class Found:
    """An input that broke the promise."""

    data: bytes
    error: BaseException


class Endless(BaseException):
    """An input that takes far too long. No parser's own handler may swallow it."""


def _endless(number: int, frame: object) -> None:
    raise Endless(f"more than {MOST_CPU_S} s")


@contextmanager
def bounded() -> Iterator[None]:
    """Raises `Endless` inside after `MOST_CPU_S` of processor time: a slow machine is no finding."""
    before = signal.signal(signal.SIGVTALRM, _endless)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def inputs(target: Target, seed: int, learn: list[bytes]) -> Iterator[bytes]:
    """Without end. `learn` is filled by whoever runs them with inputs worth going on from."""
    chance = random.Random(f"{target.name}/{seed}")
    while True:
        pool = (*target.seeds, *learn)
        data = bytearray(chance.choice(pool))
        for _ in range(chance.choice((1, 1, 2, 3, 6))):
            chance.choice(MUTATIONS)(data, chance, target, pool)
        del data[LONGEST_BYTES:]
        if chance.random() < 0.5:
            target.repair(data)
        yield bytes(data)


def run(target: Target, seed: int, count: int | None = None, seconds: float | None = None) -> tuple[int, Found | None]:
    """How many inputs were run, and the first that broke the promise. The seeds go first, as they are."""
    learn: list[bytes] = []
    met: set[Hashable] = set()
    until = None if seconds is None else time.monotonic() + seconds
    done = 0
    for data in _first(target, inputs(target, seed, learn)):
        if (count is not None and done >= count) or (until is not None and time.monotonic() >= until):
            break
        try:
            with bounded():
                outcome = target.run(data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return done + 1, Found(data, error)
        done += 1
        if outcome not in met and len(met) < 2000:
            met.add(outcome)
            learn.append(data)
    return done, None


def peak_bytes(target: Target, data: bytes) -> int:
    """The most memory that one input takes."""
    tracemalloc.start()
    try:
        target.run(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def shrink(target: Target, data: bytes, tries: int = 2000) -> bytes:
    """A shorter input that fails with the same kind of error."""
    kind = _kind(target, data)
    size = len(data) // 2
    while size and tries:
        for at in range(0, len(data), size):
            tries -= 1
            shorter = data[:at] + data[at + size :]
            if _kind(target, shorter) is kind:
                data = shorter
                break
        else:
            size //= 2
    return data


def _kind(target: Target, data: bytes) -> type[BaseException] | None:
    try:
        with bounded():
            target.run(data)
    except (Exception, Endless) as error:  # noqa: BLE001 - as in `run`
        return type(error)
    return None


def _first(target: Target, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from target.seeds
    yield from rest


Pool = tuple[bytes, ...]


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data) + 1)


def _flip(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice((chance.choice(INTERESTING), chance.randrange(256)))


def _number(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    size, values = chance.choice(NUMBERS)
    at = _place(data, chance)
    data[at : at + size] = chance.choice(values).to_bytes(size, chance.choice(("little", "big")))


def _insert(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    at = _place(data, chance)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 5, 30)))


def _delete(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 2, 5, 30))]


def _cut(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    del data[_place(data, chance) :]


def _repeat(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.choice((1, 4, 16, 64))] * chance.choice((1, 2, 20))


def _splice(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    other = chance.choice(pool)
    start = chance.randrange(len(other) + 1)
    at = _place(data, chance)
    data[at:at] = other[start : start + chance.choice((4, 40, 400))]


def _word(data: bytearray, chance: random.Random, target: Target, pool: Pool) -> None:
    if not target.words:
        return _set(data, chance, target, pool)
    at = _place(data, chance)
    data[at : at + chance.choice((0, 0, 1, 4))] = chance.choice(target.words)
    return None


MUTATIONS = (_flip, _flip, _set, _set, _number, _insert, _delete, _cut, _repeat, _splice, _word, _word)
