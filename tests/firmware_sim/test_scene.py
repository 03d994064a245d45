"""A scene is read as it is written, or refused with every mistake in it."""

from pathlib import Path

import pytest

import firmware_sim.__main__ as process
from firmware_sim.expect import changed_at
from firmware_sim.fault import What
from firmware_sim.scene import SceneError, read

DEMO = Path(process.__file__).parent.parent / "examples" / "demo" / "scene.yaml"


def test_devices_lines_servers_and_terminals_are_built(scene):
    """With their values, addresses and what can be wrong with them."""
    built = scene()
    assert [slave.device for slave in built.lines[0].slaves] == ["smoke-1", "smoke-2", "door-1", "tilt-1"]
    assert [unit.address for unit in built.servers[0].units] == [9, 10]
    assert built.terminals[0].gauge.id == "SHMK19060013"
    assert built.members["smoke-1"].values == {"density": 0.21, "alarm": 0, "fault": 0, "temperature": -4.5}
    assert What.EXCEPTION not in built.members["tilt-1"].faults


def test_gaps_may_be_refused(scene):
    """The device then answers ILLEGAL DATA ADDRESS between its points."""
    built = scene("servers: [{id: s, devices: [{id: a, template: smoke, address: 1, gaps: refused}]}]")
    assert built.servers[0].units[0].map.gaps_refused


ONE = "lines: [{id: l, devices: [{id: a, template: smoke, address: 1}]}]\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lamps: []", "lamps: there is no such part of a scene"),
        ("[]", None),
        ("- 1", "scene: there is no such part"),
        ("lines: {}", None),
        ("lines: 3", "lines: is not a list"),
        ("lines: [3]", "lines[0]: 3 is not a mapping"),
        ("lines: [{}]", "lines[0]: id is missing"),
        ("lines: [{id: l, colour: red}]", "lines[0]: does not take colour"),
        ("lines: [{id: l, baud: 0}]", "lines[0]: baud: more than 0"),
        ("lines: [{id: l, baud: fast}]", "baud: 'fast' is not a number"),
        ("lines: [{id: l, devices: [{id: a}]}]", "lines[0].devices[0]: template is missing"),
        ("lines: [{id: l, devices: [{id: a, template: smoke}]}]", "lines[0].devices[0]: address is missing"),
        ("lines: [{id: l, devices: [{id: a, template: none, address: 1}]}]", "no template 'none'"),
        (
            "lines: [{id: l, devices: [{id: a, template: smoke, address: 248}]}]",
            "address: 248 is not a whole number in 1..247",
        ),
        ("lines: [{id: l, devices: [{id: a, template: hydrant, address: 1}]}]", "hydrant speaks meokon"),
        ("servers: [{id: s, devices: [{id: a, template: tilt, address: 0}]}]", "tilt speaks bwm826"),
        ("lines: [{id: l, devices: [{id: a, template: smoke, address: 1, values: {x: 1}}]}]", "smoke has no x"),
        ("lines: [{id: l, devices: [{id: a, template: smoke, address: 1, values: {alarm: 2}}]}]", "outside 0..1"),
        ("lines: [{id: l, devices: [{id: a, template: smoke, address: 1, gaps: yes}]}]", "neither zero nor refused"),
        ("terminals: [{id: t, template: hydrant, address: 1}]", "is not a text of up to 12"),
        ("terminals: [{id: t, template: hydrant, address: A, type: 9}]", "type: 9 is none of"),
        (ONE + "servers: [{id: a}]", "servers[0]: id: 'a' is empty, no text, or given twice"),
        (ONE + "story: [{at: 1, set: {a/x: 1}}]", "story[0]: there is no point a/x"),
        (ONE + "story: [{at: 1, set: {a/alarm: 2}}]", "story at 1.0: alarm: 2 needs the raw value 2"),
        (ONE + "story: [{at: 1, ramp: {point: a/density, to: 1000, over_s: 1}}]", "needs the raw value"),
        (ONE + "story: [{at: 1, fault: {device: a, what: ill}}]", "story at 1.0: what: 'ill'"),
        (ONE + "story: [{at: 1, ramp: {to: 1}}]", "story[0]: point is missing"),
        (ONE + "expect: [{alarm: x, device: a, point: x, above: 1}]", "expect[0]: there is no point a/x"),
        ("lines: [", "while parsing"),
    ],
)
def test_each_mistake_is_said_with_its_place(scene, text, complaint):
    """Dotted path and reason; what is only empty is no mistake."""
    if complaint is None:
        scene(text)
        return
    with pytest.raises(SceneError) as refused:
        scene(text)
    assert complaint in str(refused.value)


def test_all_mistakes_come_at_once(scene):
    """Three devices, three mistakes, three lines."""
    with pytest.raises(SceneError) as refused:
        scene(
            "lines: [{id: l, devices: [{id: a, template: x, address: 1}, {id: b, template: smoke, address: 0}, {id: c}]}]"
        )
    assert len(str(refused.value).splitlines()) == 3


def test_two_devices_on_one_address_are_refused(scene):
    """Unless they speak different protocols."""
    with pytest.raises(SceneError, match="address: 1 is taken"):
        scene("lines: [{id: l, devices: [{id: a, template: smoke, address: 1}, {id: b, template: door, address: 1}]}]")
    scene("lines: [{id: l, devices: [{id: a, template: smoke, address: 1}, {id: b, template: tilt, address: 1}]}]")


def test_the_demo_can_be_played():
    """With the gateway's own templates: all devices, a story of at most 66 s, and a cause for each alarm of it."""
    demo = read(DEMO, process.TEMPLATES)
    assert set(demo.members) == {"smoke-1203", "smoke-1204", "door-12", "tilt-1", "lift-3", "guard-panel", "hydrant-1"}
    assert demo.story[-1].at <= 66
    assert {expectation.alarm for expectation in demo.expect} == {
        "fire-1203", "fire-1204", "fire-1203-confirmed", "door-12-forced", "lift-3-entrapment", "slope-tilt-rate",
        "hydrant-1-pressure-low", "hydrant-1-disturbed", "smoke-1204/silent", "lift-3-alarm-button",
    }  # fmt: skip


def test_every_alarm_of_the_demo_is_caused_by_its_story():
    """Played on paper, each expectation finds its change, where the story says that it is."""
    demo = read(DEMO, process.TEMPLATES)
    entries = []
    for moment in demo.story:
        for point, value in moment.points.items():
            device, _, name = point.partition("/")
            entries.append({"event": "change", "mono": moment.at, "device": device, "point": name, "value": value})
        if moment.fault is not None:
            entries.append({"event": "fault", "mono": moment.at, **moment.fault})
    caused = {alarm: entry["mono"] for alarm, entry in changed_at(demo.expect, entries).items()}
    slope = caused.pop("slope-tilt-rate")
    assert 17 < slope < 26
    assert caused == {
        "fire-1203": 5.0, "fire-1204": 8.0, "fire-1203-confirmed": 8.0, "door-12-forced": 10.0,
        "lift-3-entrapment": 12.0, "hydrant-1-pressure-low": 19.1, "hydrant-1-disturbed": 30.0,
        "smoke-1204/silent": 20.0, "lift-3-alarm-button": 35.0,
    }  # fmt: skip
