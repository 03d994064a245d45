"""Arming by partition: what it refuses, what its delays do, what survives a restart."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Level, Text
from rules.partition import NAMED, Contact, Mode, Partition, PartitionSpec, Stage, Zone

DOOR = Zone("door/open", Text("大门", "door"), entry=True, stale_s=5)
HALL = Zone("hall/motion", Text("走廊", "hall"), interior=True, stale_s=5)
TAMPER = Zone("box/closed", Text("机箱", "box"), opened=0, stale_s=5)
SPEC = PartitionSpec("office", Text("办公室", "office"), (DOOR, HALL, TAMPER), exit_delay_s=30, entry_delay_s=20)
AT_ONCE = PartitionSpec("store", Text("仓库", "store"), (DOOR, HALL, TAMPER))
CLOSED = {"door/open": 0, "hall/motion": 0, "box/closed": 1}


class House:
    """A partition whose zones are read every second."""

    def __init__(self, spec=SPEC, **zones):
        self.partition = Partition(spec)
        self.at = 100.0
        self.zones = dict(CLOSED)
        self.read()

    def read(self, level=Level.GOOD, **zones):
        self.zones |= {name.replace("__", "/"): value for name, value in zones.items()}
        for name, value in self.zones.items():
            self.partition.take(name, value, level, self.at)

    def go_on(self, seconds):
        """Time and scans go on; delays end at their own time."""
        for _ in range(seconds):
            self.at += 1
            self.partition.wake(self.at)
            self.read()

    def arm(self, mode=Mode.AWAY, bypass=()):
        return self.partition.arm(mode, bypass, self.at)

    @property
    def stands(self):
        return self.partition.stage, self.partition.intrusion


def armed(spec=SPEC, mode=Mode.AWAY, bypass=()):
    house = House(spec)
    assert house.arm(mode, bypass) is None
    house.go_on(int(spec.exit_delay_s))
    assert house.stands == (Stage.ARMED, False)
    return house


# Arming


def test_it_arms_when_the_exit_delay_is_over():
    house = House()
    assert house.arm() is None
    assert (house.partition.stage, house.partition.due) == (Stage.EXIT_DELAY, 130.0)
    house.go_on(29)
    assert house.partition.stage is Stage.EXIT_DELAY
    house.go_on(1)
    assert house.stands == (Stage.ARMED, False)
    assert house.partition.due == math.inf


def test_without_an_exit_delay_it_is_armed_at_once():
    house = House(AT_ONCE)
    house.arm()
    assert house.stands == (Stage.ARMED, False)


@pytest.mark.parametrize(
    ("level", "said"), [(Level.GOOD, "open"), (Level.UNCERTAIN, "in doubt"), (Level.BAD, "without valid data")]
)
def test_an_open_doubtful_or_bad_zone_is_named(level, said):
    """Only surely closed is closed."""
    house = House()
    house.partition.take("box/closed", 0 if level is Level.GOOD else 1, level, house.at)
    refused = house.arm()
    assert refused.en == f"office cannot arm: box (box/closed) is {said}"
    assert refused.zh.startswith("办公室不能布防：机箱 ")
    assert house.partition.stage is Stage.DISARMED


def test_an_uncertain_open_zone_is_open():
    house = House()
    house.partition.take("box/closed", 0, Level.UNCERTAIN, house.at)
    assert house.arm().en.endswith("is open")


def test_a_zone_that_was_never_heard_or_is_stale_is_not_closed():
    fresh = Partition(SPEC)
    assert fresh.arm(Mode.AWAY, (), 100.0).en.count("without valid data") == 3
    house = House()
    house.at += 6
    assert house.arm().en.count("without valid data") == 3


def test_only_so_many_zones_are_named():
    zones = tuple(Zone(f"d{n}/open", Text(f"门{n}", f"door {n}")) for n in range(NAMED + 2))
    refused = Partition(PartitionSpec("x", Text("库", "store"), zones)).arm(Mode.AWAY, (), 1.0)
    assert refused.en.endswith("; and 2 more")
    assert refused.zh.endswith("；另有 2 个")


def test_the_way_out_may_be_open_while_there_is_an_exit_delay():
    house = House()
    house.read(door__open=1)
    assert house.arm() is None
    house = House(AT_ONCE)
    house.read(door__open=1)
    assert house.arm().en == "store cannot arm: door (door/open) is open"


def test_the_way_out_must_be_known():
    house = House()
    house.partition.take("door/open", None, Level.BAD, house.at)
    assert "door (door/open) is without valid data" in house.arm().en


def test_a_person_may_name_zones_to_go_without():
    house = House()
    house.read(box__closed=0)
    assert house.arm(bypass=["box/closed"]) is None
    house.go_on(60)
    assert house.stands == (Stage.ARMED, False)


def test_a_bypass_ends_with_the_disarming():
    house = armed(bypass=["box/closed"])
    house.partition.disarm()
    house.read(box__closed=0)
    assert house.arm() is not None


def test_an_unknown_zone_cannot_be_bypassed():
    refused = House().arm(bypass=["box/closd"])
    assert refused.en == "office has no zone 'box/closd'; did you mean 'box/closed'?"


def test_a_partition_without_a_zone_to_watch_does_not_arm():
    assert House().arm(bypass=list(CLOSED)).en == "office: no zone would be watched"


def test_what_is_armed_is_not_armed_again():
    house = armed()
    assert house.arm().en == "office is armed already"
    assert House().partition.disarm().en == "office is not armed"


# Watching


def test_an_open_zone_is_an_intrusion_until_somebody_disarms():
    house = armed()
    house.read(box__closed=0)
    assert house.stands == (Stage.ARMED, True)
    house.read(box__closed=1)
    house.go_on(100)
    assert house.stands == (Stage.ARMED, True)
    assert house.partition.disarm() is None
    assert house.stands == (Stage.DISARMED, False)


def test_the_way_in_gives_time_to_disarm():
    house = armed()
    house.read(door__open=1)
    assert house.stands == (Stage.ENTRY_DELAY, False)
    house.read(door__open=0)
    house.go_on(19)
    assert house.stands == (Stage.ENTRY_DELAY, False)
    house.partition.disarm()
    house.go_on(60)
    assert house.stands == (Stage.DISARMED, False)


def test_nobody_disarms_in_time():
    """The door is closed behind the intruder: that does not help him."""
    house = armed()
    house.read(door__open=1)
    house.read(door__open=0)
    house.go_on(20)
    assert house.stands == (Stage.ARMED, True)


def test_another_zone_during_the_entry_delay_is_an_intrusion_at_once():
    house = armed()
    house.read(door__open=1)
    house.read(box__closed=0)
    assert house.partition.intrusion


def test_without_an_entry_delay_the_way_in_is_a_zone_like_any():
    house = House(AT_ONCE)
    house.arm()
    house.read(door__open=1)
    assert house.stands == (Stage.ARMED, True)


def test_a_second_way_in_after_an_intrusion_gives_no_new_delay():
    house = armed()
    house.read(box__closed=0)
    house.read(door__open=1)
    assert house.stands == (Stage.ARMED, True)


def test_what_is_left_open_is_told_when_the_exit_delay_ends():
    """The way out with the entry delay, another zone at once."""
    house = House()
    house.arm()
    house.read(door__open=1)
    house.go_on(30)
    assert house.stands == (Stage.ENTRY_DELAY, False)
    house = House()
    house.arm()
    house.read(box__closed=0)
    house.go_on(30)
    assert house.partition.intrusion


def test_both_delays_may_end_in_one_pause():
    """A gateway that was held up: each delay ended at its own time."""
    house = House()
    house.arm()
    house.read(door__open=1)
    house.at += 4
    house.read()
    house.partition.wake(house.at + 1000)
    assert house.partition.stage is Stage.ARMED  # the door was last heard long before the exit delay ended
    house = House(PartitionSpec("x", SPEC.text, SPEC.zones, exit_delay_s=2, entry_delay_s=3))
    house.partition.take("door/open", 1, Level.GOOD, house.at)
    house.arm()
    house.partition.wake(house.at + 1000)
    assert (house.stands, house.partition.since) == ((Stage.ARMED, True), 105.0)


def test_people_inside_are_not_watched():
    house = armed(mode=Mode.STAY)
    house.read(hall__motion=1)
    assert house.stands == (Stage.ARMED, False)
    house.read(box__closed=0)
    assert house.partition.intrusion


def test_somebody_inside_does_not_stop_arming_around_him():
    house = House()
    house.read(hall__motion=1)
    assert house.arm() is not None
    assert house.arm(Mode.STAY) is None


def test_an_uncertain_open_zone_is_an_intrusion_and_unknown_is_none():
    """Law 1: uncertain may raise, unknown neither raises nor clears."""
    house = armed()
    house.partition.take("box/closed", None, Level.BAD, house.at)
    house.at += 100
    assert house.stands == (Stage.ARMED, False)
    house.partition.take("box/closed", 0, Level.UNCERTAIN, house.at)
    assert house.partition.intrusion


def test_what_is_known_of_a_zone():
    house = House()
    assert house.partition.contact("door/open", house.at) is Contact.CLOSED
    assert house.partition.contact("door/open", house.at + 6) is Contact.UNKNOWN


# Across a restart


def again(house, shift_s=0.0, gone_s=0.0):
    """The same partition after a restart."""
    new = House.__new__(House)
    new.partition, new.at, new.zones = Partition(house.partition.spec), house.at + shift_s + gone_s, house.zones
    saved = house.partition.encode()
    assert saved is None or new.partition.restore(saved, shift_s, new.at)
    new.partition.wake(new.at)
    return new


def test_a_disarmed_partition_needs_no_memory():
    assert House().partition.encode() is None


@pytest.mark.parametrize("shift_s", [0.0, -90.0, 500.0])
def test_a_restart_in_the_exit_delay_goes_on_with_it(shift_s):
    house = House()
    house.arm()
    house.go_on(10)
    new = again(house, shift_s, gone_s=5)
    assert new.partition.due - new.at == 15


def test_a_restart_while_armed_watches_on_with_its_bypass_and_mode():
    house = armed(mode=Mode.STAY, bypass=["box/closed"])
    new = again(house, 1000.0)
    new.read(box__closed=0, hall__motion=1)
    assert new.stands == (Stage.ARMED, False)
    new.read(door__open=1)
    assert new.stands == (Stage.ENTRY_DELAY, False)


def test_a_door_opened_while_the_gateway_was_down_is_seen():
    new = again(armed())
    assert new.partition.contact("door/open", new.at) is Contact.UNKNOWN
    new.read(door__open=1)
    assert new.stands == (Stage.ENTRY_DELAY, False)


def test_an_entry_delay_that_ended_while_the_gateway_was_down_is_an_intrusion():
    house = armed()
    house.read(door__open=1)
    assert again(house, gone_s=5).stands == (Stage.ENTRY_DELAY, False)
    assert again(house, gone_s=20).stands == (Stage.ARMED, True)


def test_an_intrusion_survives():
    house = armed()
    house.read(box__closed=0)
    assert again(house).stands == (Stage.ARMED, True)


def test_a_bypass_of_what_is_no_zone_any_more_is_forgotten():
    saved = json.dumps(
        {"stage": "armed", "mode": "away", "since": 1, "bypass": ["x/y", "box/closed"], "intrusion": False}
    )
    partition = Partition(SPEC)
    assert partition.restore(saved.encode(), 0.0, 100.0)
    assert partition.bypass == {"box/closed"}


@pytest.mark.parametrize(
    "saved",
    [b"", b"[]", b"{}", b"\xff", b'"x"', b'{"stage":"open"}', b"[" * 100_000,
     b'{"stage":1,"mode":"away","since":1,"bypass":[],"intrusion":false}',
     b'{"stage":"armed","mode":"off","since":1,"bypass":[],"intrusion":false}',
     b'{"stage":"armed","mode":"away","since":"now","bypass":[],"intrusion":false}',
     b'{"stage":"armed","mode":"away","since":1,"bypass":5,"intrusion":false}',
     b'{"stage":"armed","mode":"away","since":%s,"bypass":[],"intrusion":false}' % (b"9" * 400)],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_as_a_whole(saved):
    partition = Partition(SPEC)
    assert not partition.restore(saved, 0.0, 100.0)
    assert (partition.stage, partition.mode, partition.bypass, partition.intrusion) == (0, 0, frozenset(), False)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("take"), st.sampled_from(sorted(CLOSED)), st.sampled_from([0, 1, None]), st.sampled_from(Level)
        ),
        st.tuples(st.just("arm"), st.sampled_from([Mode.AWAY, Mode.STAY]), st.lists(st.sampled_from(sorted(CLOSED)))),
        st.tuples(st.just("disarm")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("pause"), st.floats(0, 50)),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from([SPEC, AT_ONCE]))
def test_only_a_person_ends_what_is_armed_or_an_intrusion(steps, spec):
    """Whatever the zones say and however often it restarts; and no delay waits longer than it is."""
    partition, at = Partition(spec), 0.0
    for step in steps:
        was = (partition.stage, partition.intrusion)
        match step:
            case ("take", point, value, level):
                partition.take(point, value, level, at)
            case ("arm", mode, bypass):
                partition.arm(mode, bypass, at)
            case ("disarm",):
                partition.disarm()
                assert (partition.stage, partition.intrusion) == (Stage.DISARMED, False)
                continue
            case ("restart",):
                saved, partition = partition.encode(), Partition(spec)
                assert saved is None or partition.restore(saved, 0.0, at)
                assert (partition.stage, partition.intrusion) == was
            case ("pause", seconds):
                at += seconds
                partition.wake(at)
        assert partition.due > at
        assert partition.stage is not Stage.DISARMED or was[0] is Stage.DISARMED
        assert partition.intrusion or not was[1]


def test_an_exit_delay_of_a_second_is_one():
    """The entry door may be open while it runs."""
    house = House(replace(SPEC, exit_delay_s=1))
    house.read(door__open=1)
    assert house.arm() is None


@pytest.mark.parametrize(("open_", "more"), [(NAMED, ""), (NAMED + 1, "and 1 more")])
def test_what_keeps_it_from_arming_is_counted_beyond_what_is_named(open_, more):
    zones = tuple(Zone(f"d{n}/open", Text(f"门{n}", f"door {n}")) for n in range(open_))
    partition = Partition(PartitionSpec("office", Text("办公室", "office"), zones))
    for zone in zones:
        partition.take(zone.point, 1, Level.GOOD, 0.0)
    told = partition.arm(Mode.AWAY, (), 0.0)
    assert told.en.endswith(more or f"(d{NAMED - 1}/open) is open")
    assert ("more" in told.en) is bool(more)
