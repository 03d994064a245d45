"""Rule tests that read as transcripts: a line is a moment, what happened, and what must follow.

    0     smoke 1.0                          device and the values of its scan; `6.0?` is UNCERTAIN, `-` is BAD
    2     smoke/1 7 8                        the device's group 1
    5     .                                  nothing but time
    6     acknowledge fire                   a person, Li
    6     shelve fire 60                     for 60 s, with a reason
    7     restart                            save, a new engine, restore
    8     restart 1000                       the same over a reboot: the new boot's clock is 1000 s ahead of the old one's
    8     restart 1000 unbridged             nobody knows how long it was off
    9     smoke 6.0        => fire AB sample      alarm, letters of the states before and after, kind of cause
    10    reset fire       => refused

Nothing after ``=>`` means that nothing must follow.
"""

from gateway.model import Action, AlarmClass, Command, Deadline, Level, Quality, Sample, Scan, Severity, State, Text
from rules.engine import Engine
from rules.spec import AlarmSpec

LETTERS = dict(zip(State, "ABCDEFGHI", strict=True))
BY_LEVEL = {Level.GOOD: Quality.GOOD, Level.UNCERTAIN: Quality.OUT_OF_RANGE, Level.BAD: Quality.NOT_RESPONDING}


def alarm(when, name="fire", cls=AlarmClass.WATER, **more):
    return AlarmSpec(name, cls, Severity.HIGH, when, Text(f"{name}报警", name), **more)


def good(device, *values, at, group=0):
    return Scan(device, group, at, values, bytes(len(values)))


def scan(device, group, at, words):
    values, qualities = [], []
    for word in words:
        level = Level.BAD if word == "-" else Level.UNCERTAIN if word.endswith("?") else Level.GOOD
        values.append(None if level == Level.BAD else float(word.rstrip("?")))
        qualities.append(BY_LEVEL[level])
    return Scan(device, group, at, tuple(values), bytes(qualities))


def cause(transition):
    return {Sample: "sample", Deadline: "deadline", Command: "command"}[type(transition.cause)]


def short(transition):
    return f"{transition.alarm} {LETTERS[transition.before]}{LETTERS[transition.after]} {cause(transition)}"


def groups_of(script, alarms):
    """The groups that a transcript speaks of: ``d`` with two values has the points ``d/0`` and ``d/1``."""
    names = {one.id for one in alarms}
    groups = {}
    for line in script.strip().splitlines():
        words = line.split("=>")[0].split()[1:]
        if words[0] in (".", "restart") or names.intersection(words):
            continue
        device, _, group = words[0].partition("/")
        groups[device, int(group or 0)] = tuple(f"{device}/{group and group + '.'}{n}" for n in range(len(words) - 1))
    return groups


def play(script, *alarms):
    """Play a transcript and compare each line; returns all transitions."""
    groups = groups_of(script, alarms)
    engine, said = Engine(alarms, groups, 0.0), []
    ahead = 0.0
    for line in script.strip().splitlines():
        happened, _, expected = line.partition("=>")
        time, what, *rest = happened.split()
        now = float(time) + ahead
        event = None
        if what == "restart":
            shift = float(rest[0]) if rest else 0.0
            saved = engine.save()
            ahead += shift
            now += shift
            engine = Engine(alarms, groups, now)
            assert engine.restore(saved, shift, bridged="unbridged" not in rest) == []
        elif what in tuple(Action):
            event = Command(Action(what), rest[0], "Li", now, "repair", float(rest[1]) if rest[1:] else None)
        elif what != ".":
            device, _, group = what.partition("/")
            event = scan(device, int(group or 0), now, rest)
        step = engine.step(event, now)
        found = [short(transition) for transition in step.transitions] + ["refused"] * (step.refused is not None)
        assert found == [one.strip() for one in expected.split(",") if one.strip()], line
        said += step.transitions
    return said
