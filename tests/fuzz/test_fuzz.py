"""The share of CI: every target for some seconds' worth of inputs, the same ones each time; and every case ever found.

`make fuzz` runs for an hour with other inputs each time.
"""

import contextlib
import random
from pathlib import Path

import pytest

from tests.fuzz import mutate
from tests.fuzz.targets import TARGETS, quiet

CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(path for path in CORPUS.glob("*/*"))
MOST_MEMORY_BYTES = 8 * 1024 * 1024


@pytest.fixture(autouse=True)
def silence():
    with quiet():
        yield


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_a_parser_keeps_its_promise_whatever_comes(target):
    """Only the documented error family escapes, and what holds of its results holds."""
    _, found = mutate.run(target, seed=26875, count=target.inputs)
    assert found is None, f"{found.data.hex()}: {found.error!r}"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_case_once_found_stays_solved(path):
    """`tests/fuzz/corpus/<target>/`."""
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_one_input_takes_little_memory(name):
    """The longest inputs of the fuzzer, and the seeds twenty times over."""
    target = TARGETS[name]
    for data in (max(target.seeds, key=len) * 20, random.Random(name).randbytes(mutate.LONGEST_BYTES)):
        target.run(data)  # what is loaded once is not counted
        assert mutate.peak_bytes(target, data) < MOST_MEMORY_BYTES


def broken(data: bytes) -> object:
    """A parser with a mistake behind a mark and a length."""
    if data[:2] != b"@@":
        return "start"
    if len(data) < 4:
        return "cut"
    return data[2 : 2 + data[3]][0]


PLANTED = mutate.Target("planted", broken, (b"@@\x05\x03abcdef",), 2000)


def test_the_fuzzer_finds_a_planted_mistake_and_makes_it_short():
    """Else it would prove nothing."""
    done, found = mutate.run(PLANTED, seed=1, count=PLANTED.inputs)
    assert isinstance(found.error, IndexError)
    assert done < PLANTED.inputs
    assert mutate.shrink(PLANTED, found.data) == b"@@" + found.data[2:3] + b"\0"


def test_an_input_that_never_ends_is_found(monkeypatch):
    """A parser that hangs is as bad as one that falls; it cannot swallow the end."""

    def hangs(data: bytes) -> object:
        while data:
            with contextlib.suppress(Exception):  # the worst that a parser can do
                len(data)
        return None

    monkeypatch.setattr(mutate, "MOST_CPU_S", 0.05)
    _, found = mutate.run(mutate.Target("planted", hangs, (b"a",), 1), seed=1, count=1)
    assert isinstance(found.error, mutate.Endless)


def test_the_same_seed_gives_the_same_inputs():
    """A found case can be met again; another seed gives others."""

    def some(seed):
        made = mutate.inputs(TARGETS["gb26875"], seed, [])
        return [next(made) for _ in range(200)]

    assert some(1) == some(1)
    assert some(1) != some(2)


@pytest.mark.parametrize(
    ("name", "refused", "most"),
    [
        ("gb26875", "checksum", 400),
        ("meokon", "checksum", 400),
        ("bwm826", "BAD_FRAME", 540),
        ("modbus-rtu", "BAD_FRAME", 540),
    ],
)
def test_repaired_frames_get_behind_the_checksum(name, refused, most):
    """Otherwise nothing but checksums would be tested: of 600 inputs a share comes to another end. It is small where a
    reply must have the one length that was asked for."""
    target = TARGETS[name]
    made = mutate.inputs(target, 3, [])
    ends = [repr(target.run(next(made))) for _ in range(600)]
    assert sum(refused in end for end in ends) < most
    assert len(set(ends)) > 5
