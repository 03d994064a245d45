"""How times cross a restart."""

import json

import pytest

from gateway.bridge import bridge, clocks
from tests.clocks import HandClock


def test_within_one_boot_times_stay(tmp_path):
    clock = HandClock(at=5000)
    saved = clocks(clock)
    clock.advance(60)
    assert bridge(saved, clock) == (0, True)


def test_across_a_reboot_trusted_clocks_bridge_the_gap():
    """A delay that began 10 s before the cut, 30 s ago by the wall clock, began 40 s before now."""
    before = HandClock(at=5000, wall=1_800_000_000, boot="a" * 32)
    saved = clocks(before)
    after = HandClock(at=20, wall=1_800_000_030, boot="b" * 32)
    began = 4990
    assert bridge(saved, after).sure
    assert after.monotonic() - (began + bridge(saved, after).shift_s) == pytest.approx(40)


def test_across_a_reboot_without_trusted_clocks_the_gap_counts_as_nothing():
    """At least: what had elapsed stays elapsed."""
    before = HandClock(at=5000, wall=1_800_000_000, boot="a" * 32)
    saved = clocks(before)
    after = HandClock(at=20, wall=30.0, boot="b" * 32, trusted=False)
    assert not bridge(saved, after).sure
    assert after.monotonic() - (4990 + bridge(saved, after).shift_s) == pytest.approx(10)


def test_a_wall_clock_that_went_back_bridges_nothing():
    before = HandClock(at=5000, wall=1_800_000_000, boot="a" * 32)
    after = HandClock(at=20, wall=1_700_000_000, boot="b" * 32)
    assert not bridge(clocks(before), after).sure
    assert after.monotonic() - (4990 + bridge(clocks(before), after).shift_s) == pytest.approx(10)


def saved_at(at):
    return b'{"boot": "x", "at": %s, "wall": 1, "trusted": true}' % at


@pytest.mark.parametrize(
    "saved",
    [
        *(None, b"", b"[]", b"{}", b"\xff", b"[" * 100_000, json.dumps({"boot": 1, "at": "x"}).encode()),
        *map(saved_at, (b"NaN", b"-Infinity", b"9" * 400)),
    ],
)
def test_saved_clocks_that_cannot_be_read_move_nothing(saved):
    assert bridge(saved, HandClock()) == (0, False)
