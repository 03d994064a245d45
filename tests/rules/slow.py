"""A second, slow rule engine, written from the descriptions in `rules.spec` alone: the oracle of the property tests.

It keeps the whole past and looks at every instant of a time grid of `TICK` seconds (all times and durations in the tests
are multiples of it). Each condition becomes the list of its truths, one an instant; nothing is updated in place.
"""

from fractions import Fraction

from gateway.model import Action, AlarmClass, Command, Level, State
from rules import spec
from tests.rules import slow_time

TICK = 0.25
F, FU, U, TU, T = range(5)
USABLE = {0: Level.GOOD, 1: Level.UNCERTAIN}


def instants(events, end):
    """``(time, event or None)``: every tick, and after it the events of that time."""
    out, rest, tick = [], list(events), 0
    while tick * TICK <= end:
        out.append((tick * TICK, None))
        while rest and rest[0].at == tick * TICK:
            out.append((tick * TICK, rest.pop(0)))
        tick += 1
    return out


def frames(point, past, groups):
    """At each instant: the point's value and level if a scan of its group came at it, else None."""
    for time, event in past:
        names = () if event is None or isinstance(event, Command) else groups[event.device, event.group]
        if point in names:
            column = names.index(point)
            yield time, (event.values[column], USABLE.get(event.qualities[column], Level.BAD))
        else:
            yield time, None


def side(truth, doubt):
    return {(True, False): T, (True, True): TU, (False, True): FU, (False, False): F}[truth, doubt]


def pair(first, second):
    if first == second:
        return first
    if {first, second} == {F, FU}:
        return FU
    return TU if {first, second} == {T, TU} else U


def hold(judged, track):
    """From the truth of each frame (None: no frame) to the truth at each instant."""
    before = last = U
    for truth in judged:
        if truth is not None:
            before, last = last, truth
        yield pair(before, last) if track else last


def levels(when, point, low, high, past, groups, track):
    def judged():
        memory = F
        for _, frame in frames(point, past, groups):
            if frame is None:
                yield None
                continue
            value, level = frame
            if level == Level.BAD:
                yield U
                continue
            if low <= value <= high:
                inner = low + when.hysteresis < value < high - when.hysteresis
                over = memory >= TU and when.hysteresis > 0 and not inner
                doubt = level != Level.GOOD or (when.hysteresis > 0 and not inner and memory in (FU, TU))
            else:
                over, doubt = True, level != Level.GOOD
            memory = side(over, doubt)
            yield memory

    return list(hold(judged(), track))


def simple(point, holds, past, groups, track):
    judged = (
        None if frame is None else U if frame[1] == Level.BAD else side(holds(frame[0]), frame[1] != Level.GOOD)
        for _, frame in frames(point, past, groups)
    )
    return list(hold(judged, track))


def rate(when, past, groups, track):
    def judged():
        seen = []
        for time, frame in frames(when.point, past, groups):
            if frame is None:
                yield None
                continue
            if frame[1] == Level.BAD:
                yield U
                continue
            seen.append((time, *frame))
            inside = [one for one in seen if one[0] * 32 // when.window_s >= time * 32 // when.window_s - 32]
            spread = len({one[0] for one in inside}) > 1
            if time - inside[0][0] < when.window_s / 2 or not spread:
                yield U
                continue
            n = len(inside)
            mean = [sum(Fraction(one[i]) for one in inside) / n for i in (0, 1)]
            top = sum((Fraction(one[0]) - mean[0]) * (Fraction(one[1]) - mean[1]) for one in inside)
            slope = top / sum((Fraction(one[0]) - mean[0]) ** 2 for one in inside)
            yield side(slope > when.limit if when.limit > 0 else slope < when.limit, any(one[2] for one in inside))

    return list(hold(judged(), track))


def stale(when, past, groups, track):
    device, _, name = when.point.rpartition("/")
    now, heard, last, out = F, 0.0, U, []
    sure = U
    for time, event in past:
        if now != T and time >= heard + when.for_s:
            now = sure = last = T
        if event is not None and not isinstance(event, Command) and event.device == device:
            names = groups[device, event.group]
            if name == "*" or when.point in names:
                looked = [n for n, point in enumerate(names) if name == "*" or point == when.point]
                best = min(USABLE.get(event.qualities[n], Level.BAD) for n in looked)
                frame = (F, FU, U)[best]
                if frame != U:
                    heard, now, sure = time, frame, pair(last, frame)
                elif now != T:
                    sure = pair(last, U)
                last = frame
        out.append(sure if track else now)
    return out


def k_of_n(when, past, groups, track):
    parts = [truths(part, past, groups, track) for part in when.of]
    out = []
    for n, (time, _) in enumerate(past):
        counts = []
        for part in parts:
            best = part[n]
            for earlier in range(n - 1, -2, -1):
                ended = past[earlier + 1][0]
                if ended + when.within_s <= time:
                    break
                best = max(best, part[earlier] if earlier >= 0 else U)
            counts.append(best)
        out.append(sorted(counts)[-when.k])
    return out


def truths(when, past, groups, track):  # noqa: C901  # one line a kind of condition reads best as it is
    """The truth of a condition at each instant, on one track."""
    inf = float("inf")
    match when:
        case spec.Above():
            return levels(when, when.point, -inf, when.limit, past, groups, track)
        case spec.Below():
            return levels(when, when.point, when.limit, inf, past, groups, track)
        case spec.Outside():
            return levels(when, when.point, when.low, when.high, past, groups, track)
        case spec.Equals():
            return simple(when.point, lambda value: value == when.value, past, groups, track)
        case spec.Bit():
            return simple(when.point, lambda value: int(value) // 2**when.bit % 2 == 1, past, groups, track)
        case spec.Rate():
            return rate(when, past, groups, track)
        case spec.Stale():
            return stale(when, past, groups, track)
        case spec.All():
            return [min(at) for at in zip(*(truths(part, past, groups, track) for part in when.of), strict=True)]
        case spec.Any():
            return [max(at) for at in zip(*(truths(part, past, groups, track) for part in when.of), strict=True)]
        case spec.Not():
            return [T - one for one in truths(when.of, past, groups, track)]
        case spec.KOfN():
            return k_of_n(when, past, groups, track)
        case spec.Changed() | spec.Frozen():
            still = isinstance(when, spec.Frozen)
            window_s = when.for_s if still else when.within_s
            return list(hold(slow_time.motion(frames(when.point, past, groups), window_s, still), track))
        case _:
            return over_time(when, past, groups)[track]


def over_time(when, past, groups):
    """Both tracks of a condition over the past of others."""
    times = [time for time, _ in past]
    columns = [[truths(part, past, groups, track) for track in (0, 1)] for part in spec.parts(when)]
    match when:
        case spec.Held():
            return slow_time.both(lambda track: slow_time.held(when.for_s, columns[0][track], times))
        case spec.Times():
            return slow_time.both(lambda track: slow_time.times_(when.n, when.within_s, columns[0][track], times))
        case spec.Sequence():
            parts = [[column[track] for column in columns] for track in (0, 1)]
            return slow_time.both(lambda track: slow_time.sequence(when.within_s, parts[track], times))
        case spec.Absence():
            return slow_time.both(lambda track: slow_time.absence(when.within_s, *columns, times, track))
        case spec.Latch():
            return slow_time.both(lambda track: slow_time.latch(*columns, track))
        case spec.Captured():
            return slow_time.both(lambda track: slow_time.captured(columns[0][track], columns[1][track]))


def present(alarm, now, sure, past):
    """Is the condition present after its delays, at each instant?"""
    active, since, out = False, None, []
    for (time, _), is_now, is_sure in zip(past, now, sure, strict=True):
        if not active:
            since = None if is_now == F else time if since is None and is_now >= TU else since
            if is_now >= TU and time - since >= alarm.on_delay_s:
                active, since = True, None
        else:
            since = None if is_now != F else time if since is None else since
            if is_sure == F and time - since >= alarm.off_delay_s:
                active, since = False, None
        out.append(active)
    return out


LIFE = {"A+": "B", "D+": "B", "E+": "B", "F+": "B", "B-": "D", "C-": "A", "B=": "E", "C=": "F",
        "Ba": "C", "Da": "A", "Ea": "F", "Er": "D", "Fr": "A",
        **{hidden + change: hidden for hidden in "GHI" for change in "+-="}}  # fmt: skip
STATES = dict(zip("ABCDEFGHI", State, strict=True))
DOUBT_S = 1.0
"""What the property tests put in place of `rules.aside.DOUBT_S`."""


def hidden_by_design(alarm, past, groups):
    """Is it suppressed, as far as its logic goes, at each instant?"""
    if alarm.suppressed_by is None:
        return [False] * len(past)
    now, sure = (truths(alarm.suppressed_by, past, groups, track) for track in (0, 1))
    hidden, doubt, out = False, None, []
    for (time, _), is_now, is_sure in zip(past, now, sure, strict=True):
        if not hidden:
            hidden, doubt = is_sure == T, None
        elif is_now in (F, FU):
            hidden = False
        elif is_now == T:
            doubt = None
        else:
            doubt = time if doubt is None else doubt
            hidden = time < doubt + DOUBT_S
        out.append(hidden)
    return out


class Life:
    """Where one alarm is, by letters."""

    def __init__(self, alarm):
        self.alarm, self.state, self.out = alarm, "A", []
        self.present = self.hidden = False
        self.until = None

    def go(self, after, time):
        if after is None:
            return
        self.out.append((self.alarm.id, STATES[self.state], STATES[after], time))
        if after != self.state:
            self.until = time + self.alarm.realarm_s if after == "C" and self.alarm.realarm_s else None
        self.state = after

    def end(self, time):
        hidden = self.hidden and self.state in "GI"
        self.go("H" if hidden else "B" if self.present else "A", time)

    def look(self, there, hidden, time):
        """What the conditions say at one instant; time itself comes first."""
        if self.until is not None and time >= self.until:
            if self.state == "C":
                self.go("B", time)
            else:
                self.end(time)
        self.hidden = hidden
        if hidden and self.state not in "GHI":
            self.go("H", time)
        if there != self.present:
            self.present = there
            self.go(LIFE.get(self.state + ("+" if there else "=" if self.alarm.latching else "-")), time)
        if not hidden and self.state == "H":
            self.end(time)

    def told(self, command, sure, time):
        fire = self.alarm.cls == AlarmClass.FIRE
        hides = command.who and command.why and command.for_s
        match command.action:
            case Action.ACKNOWLEDGE:
                self.go(LIFE.get(self.state + "a"), time)
            case Action.RESET if not fire or sure == F:
                self.go(LIFE.get(self.state + "r"), time)
            case Action.SHELVE if not fire and hides and self.state != "G":
                self.go("G", time)
                self.until = time + command.for_s
            case Action.TAKE_OUT if hides and self.state != "I" and not (fire and self.state in "EF"):
                self.go("I", time)
                self.until = time + command.for_s
            case Action.UNSHELVE if self.state == "G":
                self.end(time)
            case Action.RETURN if self.state == "I":
                self.end(time)


def transitions(alarm, events, groups, end):
    """``(alarm, before, after, at)`` of one alarm."""
    past = instants(events, end)
    now, sure = (truths(alarm.when, past, groups, track) for track in (0, 1))
    life = Life(alarm)
    hidden = hidden_by_design(alarm, past, groups)
    rows = zip(past, present(alarm, now, sure, past), hidden, sure, strict=True)
    for (time, event), there, is_hidden, is_sure in rows:
        life.look(there, is_hidden, time)
        if isinstance(event, Command) and event.alarm == alarm.id:
            life.told(event, is_sure, time)
    return life.out
