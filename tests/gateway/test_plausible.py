"""What several replies show and one cannot: jumps, standing still, counters, an address used twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Counter, Group, Kind, Level, Plausibility, Point, Quality, Scan
from gateway.plausible import AGREE, DOUBLE_S, Plausible
from rules.engine import Engine
from rules.spec import Above
from tests.rules.transcript import alarm

GOOD, BAD = Quality.GOOD, Quality.NOT_RESPONDING


class Line:
    """One watched point beside a contact, read every second."""

    def __init__(self, kind=Kind.FLOAT, dead_band=0.0, **limits):
        watched = Point("d/x", "x", kind, dead_band=dead_band, plausible=Plausibility(**limits))
        self.points = (Point("d/open", "open", Kind.BOOL), watched)
        self.plausible = Plausible({("d", 0): Group("g", self.points, 1.0), ("e", 0): Group("g", self.points[:1], 1.0)})
        self.at = 0.0

    def read(self, value, quality=GOOD, after_s=1.0):
        """Value and quality as they are to be believed."""
        self.at += after_s
        scan = self.plausible.judge(Scan("d", 0, self.at, (1, value), bytes((GOOD, quality))))
        assert (scan.values[0], scan.qualities[0], scan.at) == (1, GOOD, self.at)
        return scan.values[1], Quality(scan.qualities[1])

    def silent(self, quality=BAD, after_s=1.0):
        assert self.read(None, quality, after_s) == (None, quality)

    def qualities(self, *values):
        return [self.read(value)[1] for value in values]


def test_a_group_without_declarations_passes_as_the_same_object():
    scan = Scan("e", 0, 1.0, (1,), b"\0")
    assert Line(max_rate=1).plausible.judge(scan) is scan


def test_a_plausible_scan_passes_as_the_same_object():
    scan = Scan("d", 0, 1.0, (1, 5.0), b"\0\0")
    assert Line(max_rate=1).plausible.judge(scan) is scan


# Jumps


def test_a_change_within_the_rate_is_good():
    assert Line(max_rate=1).qualities(0, 1, 2, 1.5, 0.5) == [GOOD] * 5


def test_a_glitch_is_one_uncertain_sample_that_keeps_its_value():
    line = Line(max_rate=1)
    line.read(5.0)
    assert line.read(99.0) == (99.0, Quality.JUMPING)
    assert line.read(5.5) == (5.5, GOOD)


def test_what_goes_on_falling_stays_uncertain():
    """A collapsing slope: each reading may raise, none may clear."""
    assert Line(max_rate=1).qualities(0, 10, 20, 30, 40, 50, 60) == [GOOD] + [Quality.JUMPING] * 6


def test_a_new_level_is_believed_when_enough_further_samples_agree():
    line = Line(max_rate=1)
    line.read(0)
    assert line.qualities(50, *[50.5] * AGREE, 51) == [Quality.JUMPING] * AGREE + [GOOD] * 2


def test_samples_that_do_not_agree_with_each_other_begin_the_count_anew():
    line = Line(max_rate=1)
    line.read(0)
    assert line.qualities(50, 50, 50, 90, 90, 90) == [Quality.JUMPING] * 6
    assert line.read(90)[1] is GOOD


def test_a_longer_pause_allows_a_larger_change():
    line = Line(max_rate=1)
    line.read(0)
    line.silent(after_s=30)
    assert line.read(30)[1] is GOOD


def test_noise_within_the_dead_band_is_no_jump():
    """One digit of a coarse instrument may be more than its rate allows in one period."""
    assert Line(max_rate=0.001, dead_band=0.5).qualities(0, 0.5, 0) == [GOOD] * 3


def test_a_second_sample_of_the_same_moment_may_differ_by_the_dead_band_only():
    line = Line(max_rate=1, dead_band=0.1)
    line.read(0)
    assert line.read(0.05, after_s=0)[1] is GOOD
    assert line.read(0.5, after_s=0)[1] is Quality.JUMPING


def test_a_collapsing_slope_raises_and_a_glitch_back_to_normal_does_not_clear_it():
    """Law 1, with the rules behind it: uncertain may raise and never clears."""
    line = Line(max_rate=0.1)
    engine = Engine([alarm(Above("d/x", 5), "slope")], {("d", 0): ("d/open", "d/x")}, 0.0)

    def states(*values):
        seen = []
        for value in values:
            line.at += 1
            scan = line.plausible.judge(Scan("d", 0, line.at, (1, value), b"\0\0"))
            seen += [one.after for one in engine.step(scan, line.at).transitions]
        return seen

    assert states(0.0, 0.1, 9.0) == ["unacknowledged"]
    assert states(30.0, 60.0, 0.9, 45.0, 1.2) == []
    assert states(*[45.0] * 10) == []
    assert states(0.0, 0.0, 0.0) == [], "a wire that broke reads nothing"
    assert states(0.0, 0.0) == ["returned"], "believed, and seen twice"


# Standing still


def test_a_value_that_never_moves_becomes_stuck_and_keeps_its_value():
    line = Line(stuck_s=3)
    assert line.qualities(7, 7, 7) == [GOOD] * 3
    assert line.read(7) == (7, Quality.STUCK)


def test_one_digit_of_movement_is_enough():
    assert Line(stuck_s=3).qualities(7, 7, 7.001, 7.001, 7.001) == [GOOD] * 5


def test_a_stuck_value_is_good_as_soon_as_it_moves():
    assert Line(stuck_s=2).qualities(7, 7, 7, 8) == [GOOD, GOOD, Quality.STUCK, GOOD]


def test_a_lost_reply_does_not_hide_that_it_stands_still():
    line = Line(stuck_s=3)
    line.qualities(7, 7)
    line.silent()
    assert line.read(7)[1] is Quality.STUCK


def test_after_a_long_silence_nothing_is_known_of_standing_still():
    line = Line(stuck_s=3)
    line.qualities(7, 7)
    line.silent(after_s=10)
    assert line.read(7)[1] is GOOD


def test_a_jump_that_stands_still_is_told_as_a_jump():
    line = Line(max_rate=1, stuck_s=2)
    line.read(0)
    assert line.qualities(50, 50, 50) == [Quality.JUMPING] * 3


# Counters


def counter(bits=16, step=1, max_rate=10, kind=Kind.INT):
    return Line(kind, max_rate=max_rate, counter=Counter(bits, step))


def test_a_total_begins_at_the_devices_own_reading():
    assert counter().read(1234) == (1234, GOOD)


def test_a_counter_that_wraps_goes_on():
    line = counter()
    line.read(65530)
    assert line.read(3) == (65539, GOOD)
    assert line.read(8) == (65544, GOOD)


def test_a_reset_keeps_the_total_and_says_so_once():
    line = counter()
    line.read(40000)
    assert line.read(0) == (40000, Quality.COUNT_LOST)
    assert line.read(5) == (40005, GOOD)


def test_an_exchanged_device_gives_no_huge_jump():
    line = counter()
    line.read(100)
    assert line.read(50000) == (100, Quality.COUNT_LOST)
    assert line.read(50004) == (104, GOOD)


def test_two_counts_more_than_the_rate_are_no_loss():
    """A slow counter: one count at each end of a short time."""
    line = counter(max_rate=0.01)
    line.read(5)
    assert line.read(7) == (7, GOOD)


def test_a_pause_in_which_it_may_have_wrapped_more_than_once_is_a_loss():
    line = counter()
    line.read(5)
    line.silent(after_s=10000)
    assert line.read(6) == (6, Quality.COUNT_LOST)


def test_a_scaled_counter_wraps_at_its_scaled_width():
    line = counter(bits=16, step=0.1, kind=Kind.FLOAT)
    line.read(6553.5)
    assert line.read(0.2) == (pytest.approx(6553.8), GOOD)


def clearing(max_rate=None):
    return Line(Kind.INT, max_rate=max_rate, counter=Counter(None))


def test_a_counter_that_reading_clears_is_added_up():
    line = clearing()
    assert [line.read(value) for value in (3, 0, 4)] == [(3, GOOD), (3, GOOD), (7, GOOD)]


@pytest.mark.parametrize("lost", [Quality.NOT_RESPONDING, Quality.BAD_FRAME, Quality.LINE_DOWN, Quality.DRIVER_FAULT])
def test_after_a_lost_answer_the_count_is_uncertain_once(lost):
    line = clearing()
    line.read(3)
    line.silent(lost)
    line.silent(lost)
    assert line.read(1) == (4, Quality.COUNT_LOST)
    assert line.read(1) == (5, GOOD)


@pytest.mark.parametrize("kept", [Quality.REFUSED, Quality.NO_SUCH_REGISTER, Quality.NOT_YET])
def test_a_refusal_loses_no_count(kept):
    line = clearing()
    line.read(3)
    line.silent(kept)
    assert line.read(1) == (4, GOOD)


def test_what_was_missed_before_the_first_reading_is_no_loss():
    line = clearing()
    line.silent()
    assert line.read(1) == (1, GOOD)


@pytest.mark.parametrize("impossible", [-1, 500])
def test_a_count_that_cannot_be_is_not_added(impossible):
    line = clearing(max_rate=10)
    line.read(3)
    assert line.read(impossible) == (3, Quality.COUNT_LOST)


def test_a_count_that_stands_still_is_stuck():
    """A heart-beat counter."""
    line = Line(Kind.INT, max_rate=10, stuck_s=2, counter=Counter(16))
    assert line.qualities(7, 7, 7, 8) == [GOOD, GOOD, Quality.STUCK, GOOD]


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.booleans(), st.floats(0.1, 1e6)), max_size=50),
    st.sampled_from([16, None]),
    st.sampled_from([0.5, 100.0]),
)
def test_a_total_never_falls(readings, bits, rate):
    line, last = Line(Kind.INT, max_rate=rate, counter=Counter(bits)), 0
    for raw, heard, after_s in readings:
        if not heard:
            line.silent(after_s=after_s)
            continue
        total, quality = line.read(raw, after_s=after_s)
        assert quality.level is not Level.BAD
        assert total >= last
        last = total


# Two devices for one address


def test_after_a_proof_all_good_values_of_the_device_are_uncertain_for_a_while():
    line = Line(stuck_s=1000)
    line.plausible.double("d", 1.0)
    scan = line.plausible.judge(Scan("d", 0, 2.0, (1, None), bytes((GOOD, BAD))))
    assert (scan.values, list(scan.qualities)) == ((1, None), [Quality.DOUBLE_ADDRESS, BAD])
    assert line.plausible.judge(Scan("e", 0, 2.0, (1,), b"\0")).qualities == b"\0"
    assert line.plausible.status() == {"judged": {"d/*": {"double_address": 1}}, "double_addresses": ["d"]}
    late = Scan("d", 0, 1.0 + DOUBLE_S, (1, 5.0), b"\0\0")
    assert line.plausible.judge(late) is late
    assert not line.plausible.doubtful()


# All of them


@pytest.mark.parametrize("quality", [Quality.OUT_OF_RANGE, Quality.SENSOR_FAULT])
def test_what_a_driver_said_is_not_improved_and_teaches_nothing(quality):
    line = Line(max_rate=1, stuck_s=2)
    line.read(0)
    value = None if quality.level is Level.BAD else 500.0
    assert line.read(value, quality) == (value, quality)
    assert line.read(1)[1] is GOOD


@pytest.mark.parametrize("limits", [{"max_rate": 1.0}, {"stuck_s": 1.0}, {"max_rate": 1.0, "counter": Counter(16)}])
@pytest.mark.parametrize("value", ["text", None, float("inf"), float("nan"), 10**400, True])
def test_no_value_raises(limits, value):
    line = Line(**limits)
    for one in (1.0, value, 1.0, value):
        line.read(one)


def test_a_scan_of_another_shape_passes():
    scan = Scan("d", 0, 1.0, (1,), b"\0\0\0")
    assert Line(max_rate=1).plausible.judge(scan) is scan


def test_it_tells_whether_anything_is_in_doubt_and_counts():
    line = Line(max_rate=1)
    line.qualities(0, 50)
    assert line.plausible.doubtful()
    assert line.plausible.status() == {"judged": {"d/x": {"jumping": 1}}, "double_addresses": []}
    line.read(0)
    assert not line.plausible.doubtful()


def test_a_restart_knows_nothing():
    """The first value after it is believed, whatever it was before."""
    Line(max_rate=1).read(0)
    assert Line(max_rate=1).read(500)[1] is GOOD


@pytest.mark.parametrize("quality", [Quality.JUMPING, Quality.STUCK, Quality.DOUBLE_ADDRESS, Quality.COUNT_LOST])
def test_each_judgement_is_uncertain(quality):
    """Law 1: it keeps its value, may raise, never clears."""
    assert quality.level is Level.UNCERTAIN
