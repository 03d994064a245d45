"""The simulated world: what enters, what is refused, what is written down."""

import pytest

from firmware_sim.fault import HEALTHY, Fault, What
from firmware_sim.log import read


def test_a_change_is_logged_once_and_seen(world):
    """The same value again is no change."""
    world.field.set({"smoke-1/density": 7.5})
    world.field.set({"smoke-1/density": 7.5})
    assert world.field.values("smoke-1")["density"] == 7.5
    assert [(entry["device"], entry["point"], entry["value"]) for entry in world.entries("change")] == [
        ("smoke-1", "density", 7.5)
    ]


def test_points_set_together_change_at_one_moment(world):
    """Over several devices; true becomes 1."""
    world.field.set({"smoke-1/alarm": True, "door-1/door_open": 1})
    assert len({entry["mono"] for entry in world.entries("change")}) == 1
    assert world.field.values("smoke-1")["alarm"] == 1


def test_one_wrong_value_refuses_all(world):
    """Nothing is half set."""
    with pytest.raises(ValueError, match="density: 1000 needs the raw value 100000"):
        world.field.set({"smoke-1/alarm": 1, "smoke-1/density": 1000})
    assert world.field.values("smoke-1")["alarm"] == 0
    assert world.entries("change") == []


@pytest.mark.parametrize(
    ("points", "complaint"),
    [
        ({"nobody/x": 1}, "nobody/x: there is no such point"),
        ({"smoke-1/x": 1}, "there is no such point"),
        ({"smoke-1": 1}, "there is no such point"),
        ({"smoke-1/density": "1"}, "'1' is no number"),
        ({"smoke-1/density": None}, "no way to say that there is no value"),
        ({"smoke-1/alarm": 2}, "outside 0..1"),
        ({"tilt-1/x": 1000}, "XXX.YYYY"),
        ({"hydrant-1/battery": 101}, "0..100"),
    ],
)
def test_what_no_device_can_say_is_refused(world, points, complaint):
    """With the reason."""
    with pytest.raises(ValueError, match=complaint):
        world.field.set(points)


def test_a_device_that_can_say_that_it_has_no_value_may(world):
    """null is -32768 for this register."""
    world.field.set({"smoke-1/temperature": None})
    assert world.entries("change")[0]["value"] is None


def test_an_answer_never_shows_half_of_a_change(world):
    """What a reader holds stays as it was; the next reading has all of it."""
    before = world.field.values("smoke-1")
    world.field.set({"smoke-1/density": 7.5, "smoke-1/alarm": 1})
    assert (before["density"], before["alarm"]) == (0.21, 0)


def test_a_fault_is_kept_and_logged_until_it_is_healed(world):
    """With its parameters."""
    world.field.set_fault({"device": "smoke-2", "what": "late", "after_s": 2})
    assert world.field.fault("smoke-2") == Fault(What.LATE, after_s=2)
    assert world.field.fault("smoke-1") == HEALTHY
    world.field.set_fault({"device": "smoke-2", "what": "none"})
    assert world.field.fault("smoke-2") == HEALTHY
    assert [(entry["what"], entry.get("after_s")) for entry in world.entries("fault")] == [("late", 2), ("none", None)]


@pytest.mark.parametrize(
    "said", [{"what": "silent"}, {"device": "nobody", "what": "silent"}, {"device": "tilt-1", "what": "exception"}]
)
def test_a_fault_that_no_device_can_have_is_refused(world, said):
    """And changes nothing."""
    with pytest.raises(ValueError, match=r"device|exception"):
        world.field.set_fault(said)
    assert world.entries("fault") == []


def test_the_log_holds_whole_lines_only(tmp_path, world):
    """A line that is still being written is not read."""
    world.field.set({"smoke-1/alarm": 1})
    path = tmp_path / "simulator.jsonl"
    with path.open("ab") as file:
        file.write(b'{"t": 1, "mo')
    assert [entry["event"] for entry in read(path)] == ["change"]
    entry = read(path)[0]
    assert entry.keys() == {"t", "mono", "event", "device", "point", "value"}
