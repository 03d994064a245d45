"""The built-in device `site`: its points, its commands, what survives a restart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Action, AlarmClass, Command, Quality, Scan, Text
from rules.engine import Engine
from rules.partition import PartitionSpec, Zone
from rules.post import LEVEL, Post, PostSpec, alarms, device

DOOR = Zone("door/open", Text("大门", "door"), entry=True)
BOX = Zone("box/open", Text("机箱", "box"))
SPEC = PostSpec(
    (
        PartitionSpec("office", Text("办公室", "office"), (DOOR, BOX), 30, 20),
        PartitionSpec("store", Text("仓库", "store"), (BOX,)),
    )
)
GROUPS = {("door", 0): ("door/locked", "door/open"), ("box", 0): ("box/open",), ("lamp", 0): ("lamp/on",)}


def post(spec=SPEC, *, heard=True):
    post = Post(spec, GROUPS)
    if heard:
        post.take(Scan("door", 0, 100.0, (1, 0), b"\0\0"), 100.0)
        post.take(Scan("box", 0, 100.0, (0,), b"\0"), 100.0)
    return post


def ask(post, action, subject="", value="", why="", who="王师傅", now=100.0):
    return post.obey(Command(action, subject, who, now, why, value=value), now)


def values(post):
    names = [point.name for group in device(SPEC).groups for point in group.points]
    return dict(zip(names, post.scan(0.0).values, strict=True))


def test_its_points():
    assert values(post()) == {
        "level": 1,
        "office": 0, "office.mode": 0, "office.intrusion": 0,
        "store": 0, "store.mode": 0, "store.intrusion": 0,
    }  # fmt: skip
    (group,) = device(SPEC).groups
    assert dict(group.points[1].labels) == {0: "disarmed", 1: "exit_delay", 2: "armed", 3: "entry_delay"}
    assert dict(group.points[0].labels) == {1: "normal", 2: "raised", 3: "high", 4: "highest"}
    assert all(point.text.zh and point.text.en for point in group.points)


def test_a_site_without_partitions_has_its_level():
    assert post(PostSpec(level=2), heard=False).scan(1.0).values == (2,)
    assert post(PostSpec(), heard=False).due == math.inf


def test_only_groups_with_zones_are_watched():
    assert post().watched == {("door", 0), ("box", 0)}


def test_a_scan_of_a_zone_reaches_each_partition_that_has_it():
    it = post()
    ask(it, Action.ARM, "store")
    ask(it, Action.ARM, "office")
    assert it.wake(130.0)
    assert it.take(Scan("box", 0, 131.0, (1,), b"\0"), 131.0)
    assert values(it) | {"level": 0} == {
        "level": 0,
        "office": 2, "office.mode": 1, "office.intrusion": 1,
        "store": 2, "store.mode": 1, "store.intrusion": 1,
    }  # fmt: skip
    assert not it.take(Scan("box", 0, 132.0, (1,), b"\0"), 132.0)


def test_the_alarm_of_a_partition_follows_its_intrusion():
    """Armed, opened, disarmed: raised at once, cleared after two scans."""
    _, store = alarms(SPEC)
    assert (store.id, store.cls) == ("site/store", AlarmClass.INTRUSION)
    engine = Engine(alarms(SPEC), {("site", 0): tuple(point.id for point in device(SPEC).groups[0].points)}, 100.0)
    it = post()
    ask(it, Action.ARM, "store")
    it.take(Scan("box", 0, 101.0, (1,), b"\0"), 101.0)
    (raised,) = engine.step(it.scan(101.0), 101.0).transitions
    assert (raised.alarm, raised.after) == ("site/store", "unacknowledged")
    ask(it, Action.DISARM, "store")
    assert engine.step(it.scan(102.0), 102.0).transitions == ()
    assert [one.after for one in engine.step(it.scan(103.0), 103.0).transitions] == ["returned"]


# Commands


def test_a_mode_and_zones_to_go_without():
    it = post()
    it.take(Scan("box", 0, 101.0, (1,), b"\0"), 101.0)
    assert ask(it, Action.ARM, "office", "stay", now=101.0).en == "office cannot arm: box (box/open) is open"
    assert ask(it, Action.ARM, "office", "stay box/open", now=101.0) is None
    assert (it.partitions["office"].mode, it.partitions["office"].bypass) == (2, {"box/open"})


@pytest.mark.parametrize(
    ("action", "subject", "value", "said"),
    [
        (Action.ARM, "ofice", "", "there is no partition 'ofice'; did you mean 'office'?"),
        (Action.DISARM, "", "", "there is no partition ''"),
        (Action.ARM, "office", "home", "a mode is away or stay, not 'home'"),
        (Action.ARM, "office", "off", "a mode is away or stay, not 'off'"),
        (Action.DISARM, "office", "", "office is not armed"),
        (Action.LEVEL, "", "5", "there is no level '5'; known: 1 normal, 2 raised, 3 high, 4 highest"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(action, subject, value, said):
    it = post()
    refused = ask(it, action, subject, value, why="因")
    assert refused.en == said
    assert refused.zh
    assert it.changed == {}


def test_who_must_be_said_and_for_a_level_why():
    it = post()
    assert ask(it, Action.ARM, "office", who="").en == "who asks must be said"
    assert "reason" in ask(it, Action.LEVEL, value="2").en
    assert ask(it, Action.LEVEL, value="2", why="台风") is None
    assert (values(it)["level"], it.level_text()) == (2, "raised")
    assert ask(it, Action.LEVEL, value="highest", why="区里通知") is None
    assert it.level == 4


# Across a restart


def again(it, shift_s=0.0, now=100.0, spec=SPEC):
    new = Post(spec, GROUPS)
    return new, new.restore(it.save(), shift_s, now)


def test_a_level_that_nobody_changed_follows_the_site_file():
    new, gone = again(post(), spec=PostSpec(SPEC.partitions, level=3))
    assert (new.level, gone) == (3, [])


def test_level_and_partitions_survive():
    it = post()
    ask(it, Action.LEVEL, value="3", why="演练")
    ask(it, Action.ARM, "office")
    assert set(it.changed) == {LEVEL, "office"}
    new, gone = again(it, shift_s=-50.0, now=60.0)
    assert gone == []
    assert new.scan(0.0).values == it.scan(0.0).values
    assert new.due == 80.0
    assert set(new.changed) == {"office"}, "its time is on the new boot's clock"


def test_what_is_no_more_is_given_up():
    it = post()
    ask(it, Action.LEVEL, value="4", why="演练")
    ask(it, Action.ARM, "office")
    new, gone = again(it, spec=PostSpec(SPEC.partitions[1:], levels=((1, "a"), (2, "b"))))
    assert sorted(gone) == ["level", "office"]
    assert new.changed == {"level": None, "office": None}
    assert new.level == 1


@pytest.mark.parametrize("saved", [b"", b"[]", b'"2"', b"true", b"\xff", b"[" * 100_000])
def test_a_level_that_cannot_be_read_is_given_up(saved):
    it = Post(SPEC, GROUPS)
    assert it.restore({LEVEL: saved}, 0.0, 100.0) == [LEVEL]
    assert it.level == 1


EVENTS = st.one_of(
    st.tuples(
        st.just(Action.ARM), st.sampled_from(["office", "store", "x"]), st.sampled_from(["", "stay", "away box/open"])
    ),
    st.tuples(st.just(Action.DISARM), st.sampled_from(["office", "store", ""]), st.just("")),
    st.tuples(st.just(Action.LEVEL), st.just(""), st.sampled_from(["1", "raised", "", "9"])),
    st.tuples(
        st.sampled_from(["door", "box", "lamp"]),
        st.lists(st.sampled_from([0, 1, None, "x", 2.5]), max_size=3),
        st.binary(max_size=3),
    ),
    st.floats(0, 40),
)


@given(st.lists(EVENTS, max_size=40))
def test_all_deltas_equal_what_is_saved_and_nothing_raises(events):
    it, now, kept = Post(SPEC, GROUPS), 0.0, {}
    for event in events:
        if isinstance(event, float):
            now += event
            it.wake(now)
        elif isinstance(event[0], Action):
            ask(it, event[0], event[1], event[2], "因", now=now)
        else:
            it.take(Scan(event[0], 0, now, tuple(event[1]), event[2]), now)
        kept |= it.changed
        it.changed = {}
        assert {name: state for name, state in kept.items() if state is not None} == it.save()
        assert it.due > now
        assert set(it.scan(now).qualities) == {Quality.GOOD}


def test_its_own_points_are_safety_points():
    """An intrusion is looked at like a smoke."""
    [group] = device(SPEC).groups
    assert group.safety
