"""Building conditions: what cannot be evaluated is refused before anything runs."""

import math

import pytest

from gateway.model import Scan
from rules import spec
from rules.condition import Points, build
from rules.truth import FALSE, FALSE_UNCERTAIN, NOW, SURE, TRUE, TRUE_UNCERTAIN, UNKNOWN

POINTS = Points({("d", 0): ("d/x", "d/y"), ("d", 1): ("d/z",), ("e", 0): ("e/x",)})
GOOD = spec.Above("d/x", 1)


@pytest.mark.parametrize(
    ("when", "mistake"),
    [
        (spec.Above("d/none", 1), "no such point: d/none"),
        (spec.Stale("d/none", 1), "no such point: d/none"),
        (spec.Stale("f/*", 1), "no such point: f/"),
        (spec.Above("d/x", math.nan), "limits"),
        (spec.Below("d/x", math.inf), "limits"),
        (spec.Outside("d/x", 5, 1), "limits"),
        (spec.Above("d/x", 1, -1), "hysteresis"),
        (spec.Outside("d/x", 1, 5, 2), "hysteresis"),
        (spec.Bit("d/x", -1), "bit -1"),
        (spec.Rate("d/x", math.inf, 1), "rate"),
        (spec.Rate("d/x", 1, 0), "window"),
        (spec.Rate("d/x", 1, math.inf), "window"),
        (spec.Stale("d/x", 0), "needs a time"),
        (spec.Stale("d/x", math.nan), "needs a time"),
        (spec.All(()), "no conditions"),
        (spec.Not(spec.Any(())), "no conditions"),
        (spec.KOfN(2, (GOOD,), 1), "2 of 1"),
        (spec.KOfN(0, (GOOD,), 1), "0 of 1"),
        (spec.KOfN(1, (GOOD,), -1), "within_s"),
        (spec.KOfN(1, (GOOD,), math.inf), "within_s"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_is_refused(when, mistake):
    with pytest.raises(ValueError, match=mistake):
        build(when, POINTS, 0.0)


def scan(at, value, quality=0, device="d", group=0, n=2):
    return Scan(device, group, at, (value, *[0.0] * (n - 1)), bytes([quality, *[0] * (n - 1)]))


def test_a_leaf_tells_only_of_what_moved():
    """The engine looks at a rule only then: the second frame still moves the sure track, the third nothing."""
    condition = build(GOOD, POINTS, 0.0)
    [(key, leaf)] = condition.leaves
    assert key == ("d", 0)
    assert [leaf.take(scan(at, 0.0), at) for at in range(4)] == [True, True, False, False]
    assert [condition.root.truth(track, 4) for track in (NOW, SURE)] == [FALSE, FALSE]


def test_nothing_is_known_before_it_was_heard():
    """Neither a level nor what is built on it; silence counts from the start."""
    condition = build(spec.All((GOOD, spec.Not(spec.KOfN(1, (GOOD,), 5)))), POINTS, 0.0)
    assert [condition.root.truth(track, 0) for track in (NOW, SURE)] == [UNKNOWN, UNKNOWN]
    silence = build(spec.Stale("d/*", 7), POINTS, 100.0)
    assert silence.due == 107.0
    assert [silence.root.truth(track, 100) for track in (NOW, SURE)] == [FALSE, UNKNOWN]


def test_silence_of_a_device_listens_to_all_its_groups():
    condition = build(spec.Stale("d/*", 7), POINTS, 0.0)
    assert [key for key, _ in condition.leaves] == [("d", 0), ("d", 1)]
    [silence] = condition.timed
    silence.take(scan(3.0, 1.0, group=1, n=1), 3.0)
    assert condition.due == 10.0
    assert silence.sample().point == "d/z"


def test_the_evidence_of_a_devices_silence_is_its_best_value():
    """The first good one; else the first uncertain one."""
    condition = build(spec.Stale("d/*", 7), POINTS, 0.0)
    [silence] = condition.timed
    silence.take(Scan("d", 0, 1.0, (None, 2.0), bytes([0, 1])), 1.0)
    assert silence.sample().point == "d/y"


def test_a_device_without_points_is_never_heard():
    """An empty group says nothing; it does not count as life."""
    condition = build(spec.Stale("f/*", 7), Points({("f", 0): ()}), 0.0)
    condition.timed[0].take(Scan("f", 0, 1.0, (), b""), 1.0)
    assert condition.due == 7.0


def test_the_witness_is_the_leaf_that_completed_the_answer():
    """Of several that say the same, the one that moved last; of two at one moment, the one just read."""
    condition = build(spec.All((spec.Above("d/x", 1), spec.Above("e/x", 1))), POINTS, 0.0)
    first, second = (leaf for _, leaf in condition.leaves)
    one, two = scan(1.0, 9.0), scan(1.0, 9.0, device="e", n=1)
    first.take(one, 1.0)
    second.take(two, 1.0)
    assert condition.root.witness(NOW, 1.0, two) is second
    assert condition.root.witness(NOW, 1.0, one) is first
    first.take(scan(2.0, 0.0), 2.0)
    assert condition.root.witness(NOW, 2.0, None) is first


def test_what_a_second_frame_only_confirms_is_not_the_witness_of_a_raise():
    """Both points are in one scan; the one that just became true completed the coincidence."""
    condition = build(spec.All((spec.Above("d/x", 1), spec.Above("d/y", 1))), POINTS, 0.0)
    first, second = (leaf for _, leaf in condition.leaves)
    for at, y in ((1.0, 0.0), (2.0, 9.0)):
        both = Scan("d", 0, at, (9.0, y), bytes(2))
        for leaf in (first, second):
            leaf.take(both, at)
    assert condition.root.witness(NOW, 2.0, both) is second


def test_the_witness_of_k_of_n_is_a_part_that_counts():
    condition = build(spec.KOfN(1, (spec.Above("d/x", 1), spec.Above("e/x", 1)), 5), POINTS, 0.0)
    first, second = (leaf for _, leaf in condition.leaves)
    first.take(scan(1.0, 9.0), 1.0)
    assert condition.root.truth(NOW, 1.0) == TRUE
    second.take(scan(2.0, 0.0, device="e", n=1), 2.0)
    assert condition.root.witness(NOW, 2.0, None) is first


def test_a_window_notes_now_and_then_that_a_part_is_still_true():
    """A restart finds the time of the last note, at most a quarter of the window (or 5 s) old."""
    condition = build(spec.KOfN(1, (GOOD, spec.Above("d/y", 1)), 60), POINTS, 0.0)
    [window] = condition.timed
    condition.leaves[0][1].take(scan(1.0, 9.0), 1.0)
    condition.root.truth(NOW, 1.0)
    assert window.remembered() == [[1.0, 1.0], [None, None]]
    assert window.due == 16.0
    condition.root.truth(NOW, 16.0)
    assert window.remembered() == [[16.0, 16.0], [None, None]]
    condition.leaves[0][1].take(scan(17.0, 9.0, quality=1), 17.0)
    condition.root.truth(NOW, 17.0)
    assert window.remembered() == [[16.0, 17.0], [None, None]]


@pytest.mark.parametrize(
    "saved", [{}, 5, [], [[1, 2]], [[1, 2], [3]], [[1, 2], ["x", 3]], [[1, 2], [math.nan, 3]], [1, 2], ["ab", "cd"]]
)
def test_a_windows_memory_that_is_none_is_refused(saved):
    """And nothing of it is taken."""
    condition = build(spec.KOfN(1, (GOOD, GOOD), 60), POINTS, 0.0)
    with pytest.raises((ValueError, TypeError)):
        condition.timed[0].remember(saved, 0.0, 0.0)
    assert condition.timed[0].remembered() is None


def test_remembered_times_are_never_in_the_future():
    condition = build(spec.KOfN(1, (GOOD,), 60), POINTS, 0.0)
    condition.timed[0].remember([[None, 50.0]], 1000.0, 100.0)
    assert condition.timed[0].remembered() == [[None, 100.0]]


def test_a_silence_that_is_none_is_refused():
    condition = build(spec.Stale("d/x", 7), POINTS, 0.0)
    with pytest.raises(ValueError, match="no silence"):
        condition.timed[0].remember(1, 0.0, 0.0)


def test_what_a_restart_finds_too_old_is_forgotten():
    condition = build(spec.KOfN(1, (GOOD,), 60), POINTS, 0.0)
    condition.timed[0].remember([[40.0, 40.0]], 0.0, 100.0)
    assert condition.timed[0].remembered() is None


def test_a_part_that_stays_uncertain_is_noted_no_more_often():
    """One note a quarter of the window is all that a restart needs."""
    condition = build(spec.KOfN(1, (GOOD,), 60), POINTS, 0.0)
    condition.leaves[0][1].take(scan(1.0, 9.0, quality=1), 1.0)
    for at in (1.0, 2.0, 3.0):
        condition.root.truth(NOW, at)
    assert condition.timed[0].remembered() == [[1.0, None]]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((9.0, 0), (9.0, 1), TRUE),
        ((9.0, 1), (None, 33), TRUE_UNCERTAIN),
        ((None, 33), (0.0, 1), UNKNOWN),
        ((0.0, 1), (0.0, 0), FALSE_UNCERTAIN),
    ],
)
def test_a_part_counts_with_its_greatest_truth_in_the_window(before, after, expected):
    """Each step of truth is one that the window keeps, and gives up when it is over."""
    condition = build(spec.KOfN(1, (GOOD,), 5), POINTS, 0.0)
    [(_, leaf)] = condition.leaves
    for at, (value, quality) in ((0.0, (0.0, 0)), (6.0, before), (7.0, after)):
        leaf.take(scan(at, value, quality), at)
        condition.root.truth(NOW, at)
    assert condition.root.truth(NOW, 11.75) == expected
    assert condition.root.truth(NOW, 12.0) == leaf.now


def test_silence_is_the_witness_when_it_completes_the_answer():
    """On NOW by its deadline; on SURE by its second frame."""
    condition = build(spec.All((spec.Above("e/x", 1), spec.Stale("d/x", 5))), POINTS, 0.0)
    level, silence = (leaf for _, leaf in condition.leaves)
    level.take(scan(1.0, 9.0, device="e", n=1), 1.0)
    condition.wake(5.0)
    assert condition.root.witness(NOW, 5.0, None) is silence
    condition = build(spec.Any((spec.Above("e/x", 1), spec.Stale("d/x", 5))), POINTS, 0.0)
    level, silence = (leaf for _, leaf in condition.leaves)
    for at in (1.0, 2.0):
        level.take(scan(at, 0.0, device="e", n=1), at)
        silence.take(scan(at + 1, 0.0), at + 1)
    assert condition.root.witness(SURE, 3.0, None) is silence
