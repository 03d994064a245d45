"""How far records have come: pure bookkeeping, and what a restart finds of it."""

import json

import pytest

from gateway.model import Lane, Record
from gateway.trail import TRAIL, TRAILS, Trail
from gateway.wire import payloads
from tests.clocks import HandClock


class Kept:
    """The state, as a lane keeps it."""

    def __init__(self):
        self.state, self.within_s = {}, []

    def keep(self, state, within_s):
        self.within_s.append(within_s)
        for name, body in state.items():
            assert name.startswith(TRAIL)
            self.state[name.removeprefix(TRAIL)] = body

    def there(self):
        return {name: body for name, body in self.state.items() if body is not None}

    def trail(self):
        return Trail(self.there(), self.keep, HandClock(wall=1_800_000_000.0))


def record(sequence, alarm="now", kind=payloads.TRANSITION):
    body = json.dumps({"alarm": alarm}).encode()
    return Record(Lane.ALARM, "j", "r", sequence, kind, "b", 0.0, 0.0, True, body, 0)


def test_the_furthest_stage_of_the_latest_transition_is_told():
    trail = Kept().trail()
    assert trail.stage("now") == "pending"
    trail.follow(record(1), "now")
    assert trail.reached(record(1), "broker").alarm == "now"
    assert trail.reached(record(1), "committed").alarm == "now"
    assert trail.stage("now") == "broker"
    trail.follow(record(2), "now")
    assert trail.stage("now") == "pending"
    assert trail.reached(record(1), "district").stage == "district"
    assert trail.stage("now") == "pending"


def test_a_stage_counts_once_and_keeps_its_first_time():
    """A district that gives its receipt again changes nothing."""
    kept = Kept()
    trail = kept.trail()
    trail.follow(record(1), "now")
    assert trail.reached(record(1), "district").times == {"district": 1_800_000_000.0}
    trail._clock.advance(60.0)
    assert trail.reached(record(1), "district") is None
    assert trail.latest["now"].times == {"district": 1_800_000_000.0}
    assert kept.within_s == [0.1]


def test_how_far_an_alarm_has_come_survives_a_restart():
    """The guard room sees after a restart whether the district knows."""
    kept = Kept()
    trail = kept.trail()
    trail.follow(record(9), "now")
    trail.follow(record(10), "now")
    trail.reached(record(10), "district")
    trail.reached(record(9), "committed")
    again = kept.trail()
    assert again.stage("now") == "district"


def test_the_record_of_an_earlier_run_is_followed_when_it_comes_further():
    """Killed before it could note anything. Records that are no transitions are followed by nobody."""
    trail = Kept().trail()
    assert trail.reached(record(1, "old"), "district").alarm == "old"
    assert trail.reached(record(2, kind=payloads.RUN), "district") is None
    assert set(trail.latest) == {"old"}


def test_the_oldest_are_given_up_also_in_the_state():
    kept = Kept()
    trail = kept.trail()
    for sequence in range(1, TRAILS + 3):
        trail.follow(record(sequence), "now")
        trail.reached(record(sequence), "committed")
    assert len(kept.there()) == TRAILS
    assert [name for name, body in kept.state.items() if body is None] == ["j.r/1", "j.r/2"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("j.r/1", b"\xff"), ("j.r/1", b"[]"), ("j.r/1", b"{}"), ("j.r/x", b'{"alarm": "now"}'),
        ("j.r/1", b'{"alarm": "now", "broker": "soon"}'), ("j.r/1", b"[" * 100_000),
        ("j.r/1", b'{"alarm": "now", "broker": 1' + b"0" * 400 + b"}"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out_and_given_up(name, body):
    """It keeps no gateway from starting."""
    kept = Kept()
    kept.state[name] = body
    assert kept.trail().latest == {}
    assert kept.there() == {}


def test_a_stage_of_a_later_version_is_passed_over():
    """After the way back from an update."""
    kept = Kept()
    kept.state["j.r/1"] = b'{"alarm": "now", "committed": 5.0, "read": 6.0}'
    assert kept.trail().stage("now") == "committed"
