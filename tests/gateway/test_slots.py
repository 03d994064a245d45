"""When a tool may use the line: never late where there is room, and counted lateness where there is none."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.slots import LATE_SHARE, WAIT_S, Slots


def test_an_exchange_that_ends_before_the_next_safety_poll_may_start():
    """At once, after a poll or not, and without a safety group at any time."""
    slots = Slots()
    assert slots.may_start(10.0, 10.6, 0.6, 0.0, after_poll=False)
    assert slots.may_start(10.0, float("inf"), 60.0, 0.0, after_poll=False)


def test_one_that_would_not_end_waits_for_a_gap():
    slots = Slots()
    assert not slots.may_start(10.0, 10.5, 0.6, 0.0, after_poll=True)
    assert not slots.may_start(10.0, 10.5, 0.6, WAIT_S, after_poll=False)


def test_a_line_without_a_gap_lends_itself_rarely():
    """After the wait, right after a poll; then not again before the lateness is a tenth of the time."""
    slots = Slots()
    assert slots.may_start(10.0, 10.5, 0.6, WAIT_S, after_poll=True)
    slots.ended(10.6, 10.5)
    assert not slots.may_start(11.0, 11.5, 0.6, 9.0, after_poll=True)
    assert slots.may_start(11.61, 12.0, 0.6, 9.0, after_poll=True)
    assert slots.late_s == 10.6 - 10.5


@given(
    period_s=st.floats(0.1, 2.0),
    worst_s=st.floats(0.05, 3.0),
    poll_s=st.floats(0.01, 0.09),
    share=st.floats(0.2, 1.0),
)
def test_safety_polls_keep_their_period_within_a_tenth(period_s, worst_s, poll_s, share):
    """A line with one safety poll a period and a tool that always asks: the polls of 100 s are at least 90 % of those
    that there would be without it, and none is late where the exchange fits into the gap."""
    slots, now, due, polls, asked_at = Slots(), 0.0, 0.0, 0, 0.0
    end = 100.0
    while now < end:
        if due <= now:
            now += poll_s
            polls += 1
            due = (int((due + 1e-9) / period_s) + 1) * period_s
            while due <= now - poll_s:
                due += period_s
            after_poll = True
        else:
            after_poll = False
        if due > now:
            if slots.may_start(now, due, worst_s, now - asked_at, after_poll=after_poll):
                before = due
                now += worst_s * share
                slots.ended(now, before)
                asked_at = now
            else:
                now = due
    if worst_s + poll_s < period_s:
        assert slots.late_s == 0.0
    assert slots.late_s <= LATE_SHARE * end + worst_s
    assert polls >= (1 - LATE_SHARE) * end / period_s - worst_s / period_s - 2


def test_the_drain_after_an_exchange_without_an_answer_is_the_next_ones_too():
    """The tool has its answer, and the line is not free: two that each fit alone must not make a safety poll late."""
    slots = Slots()
    assert slots.may_start(10.0, 11.0, 0.4, 0.0, after_poll=True)
    slots.ended(slots.over_at(10.0, 0.4), 11.0)
    assert slots.may_start(10.1, 11.0, 0.4, 0.0, after_poll=False)
    slots.ended(slots.over_at(10.1, 0.4), 11.0)
    assert not slots.may_start(10.55, 11.0, 0.4, 0.0, after_poll=False)
    assert slots.late_s == 0


def test_the_drain_after_a_dead_device_is_waited_for():
    """At most an exchange's worst; then the gap is whole again."""
    slots = Slots()
    slots.failed(10.0)
    assert not slots.may_start(10.0, 10.7, 0.4, 0.0, after_poll=True)
    assert slots.may_start(10.4, 10.9, 0.4, 0.0, after_poll=False)
