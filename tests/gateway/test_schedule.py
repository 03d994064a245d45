"""The order of polls: grid, ranks, fairness, devices that are down. Pure, so time is just a number here."""

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.schedule import DOWN_AFTER_S, LONGEST_PAUSE_S, Schedule, Target, after


def target(device, period_s=1.0, *, safety=False, group=0):
    return Target(device, group, period_s, safety)


class Line:
    """Plays a line: a live poll takes `live_s`, one of a dead device `dead_s`. Keeps what was polled, and when."""

    def __init__(self, targets, live_s=0.02, dead_s=0.6, now=0.0):
        self.schedule = Schedule(targets, now)
        self.now = now
        self.live_s, self.dead_s = live_s, dead_s
        self.dead = set()
        self.polls = []
        self.silent = []

    def run(self, until):
        while self.now < until:
            turn = self.schedule.decide(self.now)
            self.silent += [(self.now, silent) for silent in turn.silent]
            if turn.poll is None:
                assert turn.wake_at > self.now
                self.now = min(turn.wake_at, until)
                continue
            self.polls.append((self.now, turn.poll, turn.down))
            if turn.poll.device in self.dead:
                self.now += self.dead_s
                self.schedule.failed(turn.poll, self.now)
            else:
                self.now += self.live_s
                self.schedule.answered(turn.poll, self.now)
        return self

    def times(self, device, group=0, since=0.0):
        return [at for at, poll, _ in self.polls if (poll.device, poll.group) == (device, group) and at >= since]


def test_slots_lie_on_one_grid():
    """The next slot is a multiple of the period, whatever happened before."""
    assert after(0.0, 0.5) == 0.5
    assert after(0.49, 0.5) == 0.5
    assert after(0.5, 0.5) == 1.0
    assert after(1234.7, 10.0) == 1240.0


def test_everything_is_polled_at_once_and_then_in_step():
    """First values do not wait for the grid; after that equal periods are due together."""
    line = Line([target("a", 0.5), target("b", 1.0)], now=10.3).run(13.0)
    assert [at // 0.5 * 0.5 for at in line.times("a")[1:]] == [10.5, 11.0, 11.5, 12.0, 12.5]
    assert [at // 1.0 for at in line.times("b")[1:]] == [11.0, 12.0]
    assert all(at % 0.5 < 0.03 for at in line.times("a")[1:] + line.times("b")[1:])


def test_safety_groups_go_first():
    """Of what is due together, safety comes first, whatever the order of the file."""
    line = Line([target("a"), target("b", safety=True), target("c"), target("d", safety=True)]).run(0.5)
    assert [poll.device for _, poll, _ in line.polls] == ["b", "d", "a", "c"]


def test_a_missed_slot_is_not_made_up_for():
    """After a line was held up for five periods, a group is polled once and goes on in step."""
    schedule = Schedule([target("a", 1.0)], 0.0)
    poll = schedule.decide(0.0).poll
    schedule.answered(poll, 5.3)
    assert schedule.decide(5.3).poll == poll
    schedule.answered(poll, 5.4)
    turn = schedule.decide(5.4)
    assert turn.poll is None
    assert turn.wake_at == 6.0


def test_a_line_that_is_too_slow_starves_nobody():
    """Safety groups ask for more than the line can carry: each other group still gets one poll in each pass of them."""
    safety = [target(f"s{number}", 0.1, safety=True) for number in range(4)]
    others = [target(f"o{number}", 0.5) for number in range(3)]
    line = Line([*safety, *others], live_s=0.05).run(60.0)
    counts = Counter(poll.device for _, poll, _ in line.polls)
    assert max(counts[s.device] for s in safety) - min(counts[s.device] for s in safety) <= 1
    assert min(counts[o.device] for o in others) >= 60.0 / (3 * 5 * 0.05) - 2
    assert sum(counts[s.device] for s in safety) >= 4 * sum(counts[o.device] for o in others) - 4


def test_a_group_is_down_after_two_failures_and_three_seconds():
    """Not before either is true."""
    a = target("a", 1.0)
    line = Line([a], dead_s=0.4)
    line.dead.add("a")
    line.run(2.9)
    assert not line.schedule.is_down(a)
    assert len(line.polls) == 3
    line.run(3.5)
    assert line.schedule.is_down(a)
    slow = target("b", 60.0)
    line = Line([slow], dead_s=4.0)
    line.dead.add("b")
    line.run(30.0)
    assert not line.schedule.is_down(slow)


def test_pauses_between_tries_grow_to_ten_seconds():
    """To the last slot of the grid within them, and never beyond; the first answer ends it."""
    a = target("a", 0.5)
    line = Line([a], dead_s=0.4)
    line.dead.add("a")
    line.run(100.0)
    tries = [at for at, _, down in line.polls if down]
    pauses = [later - earlier - 0.4 for earlier, later in itertools.pairwise(tries)]
    assert pauses[0] >= 1.0 - 1e-9
    assert pauses == sorted(pauses)
    assert LONGEST_PAUSE_S - 0.5 <= max(pauses) <= LONGEST_PAUSE_S + 1e-6
    line.dead.clear()
    line.run(115.0)
    assert not line.schedule.is_down(a)
    assert line.times("a", since=112.0) == [112.0, 112.5, 113.0, 113.5, 114.0, 114.5]


def test_a_device_that_is_down_gives_a_sample_in_each_period():
    """Polled or not: each period has a poll or is named as silent, and not both more than once."""
    line = Line([target("a", 1.0), target("b", 1.0)], dead_s=0.4)
    line.dead.add("a")
    line.run(60.0)
    samples = sorted(line.times("a") + [at for at, _ in line.silent])
    periods = Counter(int(at + 1e-6) for at in samples)
    assert set(periods) == set(range(60))
    assert max(periods.values()) <= 2
    assert all(silent.device == "a" for _, silent in line.silent)


def test_groups_of_a_dead_device_share_their_tries():
    """A device with three groups that is down costs one time-out a pause, not three; its return tries all at once."""
    targets = [target("a", 1.0, group=group) for group in range(3)]
    line = Line(targets, dead_s=0.4)
    line.dead.add("a")
    line.run(60.0)
    tries = [at for at, _, down in line.polls if down and at > 30.0]
    assert len(tries) <= 5
    line.dead.clear()
    line.run(71.0)
    back = next(at for at, _, _ in line.polls if at > 60.0)
    assert sorted(poll.group for at, poll, _ in line.polls if back <= at <= back + 0.1) == [0, 1, 2]


def test_a_group_that_alone_is_silent_does_not_take_its_device_down():
    """A device that ignores one request is live in its other groups."""
    line = Line([target("a", 0.5, safety=True), target("a", 0.5, group=1)], dead_s=0.4)
    schedule = line.schedule
    for _ in range(200):
        turn = schedule.decide(line.now)
        if turn.poll is None:
            line.now = turn.wake_at
        elif turn.poll.group:
            line.now += 0.4
            schedule.failed(turn.poll, line.now)
            line.polls.append((line.now, turn.poll, turn.down))
        else:
            line.now += 0.02
            schedule.answered(turn.poll, line.now)
    assert not schedule.is_down(target("a", 0.5, safety=True))
    assert len([at for at, _, _ in line.polls if at > line.now - 30.0]) <= 4


def test_a_line_that_is_down_says_nothing_about_devices():
    """Missed polls keep their rank and period; nobody is backed off when the line returns."""
    a = target("a", 1.0, safety=True)
    schedule = Schedule([a], 0.0)
    now = 0.0
    for _ in range(20):
        turn = schedule.decide(now)
        if turn.poll:
            schedule.missed(a)
        else:
            now = turn.wake_at
    assert schedule.failing_since(a) is None
    assert schedule.decide(now + 1.0).poll == a


@settings(max_examples=60, deadline=None)
@given(
    targets=st.lists(
        st.tuples(st.sampled_from([0.25, 0.5, 1.0, 2.0, 5.0]), st.booleans(), st.booleans()), min_size=1, max_size=12
    ),
    live_s=st.sampled_from([0.005, 0.02, 0.1, 0.3]),
    dead_s=st.sampled_from([0.35, 0.6, 1.3]),
)
def test_no_live_group_starves_and_the_dead_cost_one_time_out_a_cycle(targets, live_s, dead_s):
    """
    For every mix of live and dead, fast and slow, on a fast or an overloaded line, once the dead are known:
    a live group waits for no more than one dead poll a pass of the live ones, a safety group for no more than one other poll a
    pass of the safety ones; everybody, also a dead device, keeps getting its turn.
    """
    listed = [
        target(f"{'dead' if dead else 'live'}{index}", period_s, safety=safety)
        for index, (period_s, safety, dead) in enumerate(targets)
    ]
    line = Line(listed, live_s, dead_s)
    line.dead = {entry.device for entry in listed if entry.device.startswith("dead")}
    line.run(60.0)
    live = [entry for entry in listed if entry.device not in line.dead]
    safety = [entry for entry in live if entry.safety]
    known = 12.0
    polls = [(at, poll) for at, poll, _ in line.polls if at >= known]
    cycle_s = len(live) * live_s + dead_s
    slowest_s = len([entry for entry in live if not entry.safety]) * (len(safety) * live_s + live_s + dead_s) + cycle_s
    for entry in live:
        times = line.times(entry.device, since=known)
        longest_s = max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
        assert longest_s <= entry.period_s + 2 * (cycle_s if entry.safety else slowest_s) + 1e-6
        assert times
    for (at, poll), (_, second) in itertools.pairwise(polls):
        if poll.device in line.dead and second.device in line.dead and live:
            waiting = [
                entry for entry in live if max(t for t in line.times(entry.device) if t <= at) + entry.period_s <= at
            ]
            assert not waiting, "two dead polls in a row while a live group was waiting"
    for entry in listed:
        if entry.device in line.dead:
            tries = line.times(entry.device)
            last_s = LONGEST_PAUSE_S + entry.period_s + len(line.dead) * (cycle_s + dead_s)
            assert line.now - tries[-1] <= last_s + 1e-6
            assert line.schedule.is_down(entry) or entry.period_s > DOWN_AFTER_S


def test_a_start_on_a_half_dead_line_hears_the_living_meanwhile():
    """Twenty dead ones before and after a live detector: it is polled between them, not after all of them."""
    listed = [target(f"dead{n}") for n in range(10)] + [target("live", 0.5, safety=True)]
    listed += [target(f"more{n}") for n in range(10)]
    line = Line(listed, dead_s=1.0)
    line.dead = {entry.device for entry in listed} - {"live"}
    times = line.run(30.0).times("live")
    assert times[0] == 0.0
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 1.1
    assert {poll.device for _, poll, _ in line.polls} == {entry.device for entry in listed}


def test_a_device_of_which_a_part_is_answered_is_doubtful_and_never_down():
    """Polled in each period, after the live ones."""
    half, live = target("half", safety=True), target("live")
    schedule, now = Schedule([half, live], 0.0), 0.0
    order = []
    for _ in range(40):
        turn = schedule.decide(now)
        if turn.poll is None:
            now = turn.wake_at
            continue
        order.append(turn.poll.device)
        now += 0.1
        if turn.poll is live:
            schedule.answered(live, now)
        else:
            schedule.partly(half, now)
        assert not schedule.is_down(half)
    assert order[2:8] == ["live", "half"] * 3
