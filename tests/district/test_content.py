"""What the bodies say."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from district import content
from district.content import READERS, AlarmState, Gap, Value
from district.record import Malformed, parse
from tests.district.messages import WALL_US, attributes, chained, gap, pack, transition


def made(body, kind="gengfu.telemetry.pack", sequence=10):
    lane = "telemetry" if kind.startswith("gengfu.telemetry") else "alarm"
    listed = attributes(sequence, lane=lane, type=kind)
    listed = chained(listed, body) if lane == "alarm" else listed
    return parse(f"gengfu/v1/demo-01/{lane}", "application/json", listed, body)


def test_a_transition_says_how_the_alarm_stands():
    """The example of the reference, as far as the district shows it."""
    assert content.read_transition(made(transition(), "gengfu.alarm.transition")) == AlarmState(
        "fire-1203", "fire", "critical", "unacknowledged", True, False, "火警", "Fire", True
    )


EVIDENCE = {
    "samples": [{"point": "a/b", "value": 7.5, "quality": "good", "at": 1.5}], "left_out": 0, "trend": [],
    "rule": "", "crc": "0c5f7a34", "when": {"above": {"point": "a/b", "limit": 5.0}},
}  # fmt: skip


def test_the_evidence_of_a_transition_may_be_there_or_not():
    """An older gateway has none; a record that is hidden changes `present` alone."""
    for more in ({"evidence": EVIDENCE, "present": True}, {"evidence": None}, {"message": {"zh": "一", "en": "one"}}):
        told = content.read_transition(made(transition(after="shelved", **more), "gengfu.alarm.transition"))
        assert told.state == "shelved"


def test_a_clock_mapping():
    """Boot, monotonic, wall."""
    body = json.dumps({"boot": "b" * 32, "monotonic": 5, "wall": 1.5e9}).encode()
    assert content.read_clock(made(body, "gengfu.event.clock")) == ("b" * 32, 5, 1.5e9)


@pytest.mark.parametrize("kind", ["gengfu.event.gap", "gengfu.telemetry.gap"])
def test_a_gap(kind):
    """Of either lane."""
    assert content.read_gap(made(gap(3, 9, 4), kind)) == Gap(3, 9, 4, "quota")


@pytest.mark.parametrize(
    "body", [gap(0, 5, 1), gap(5, 4, 1), gap(3, 10, 1), gap(1.5, 2, 1), gap(1, 2, -1), gap(True, 2, 1)]
)
def test_a_gap_names_earlier_numbers_only(body):
    """Its own number, later ones, none, halves: refused."""
    with pytest.raises(Malformed):
        content.read_gap(made(body, "gengfu.telemetry.gap"))


def test_a_pack_of_all_kinds_of_values():
    """Base name and time apply from where they stand; BAD has no value, UNCERTAIN keeps its own."""
    body = json.dumps([
        {"bn": "demo-01/a/", "bt": 100.5, "n": "x", "u": "Cel", "v": 1.5},
        {"n": "x/quality", "vs": "jumping"},
        {"n": "on", "vb": True},
        {"n": "name", "vs": "上行"},
        {"n": "gone/quality", "vs": "not_responding"},
        {"bn": "demo-01/b/", "bt": 101, "n": "y", "v": 2, "t": 0.5},
    ]).encode()  # fmt: skip
    assert content.read_pack(made(body)) == [
        Value("demo-01/a/x", 1.5, "Cel", "jumping", 100.5),
        Value("demo-01/a/on", 1, "", "good", 100.5),
        Value("demo-01/a/name", "上行", "", "good", 100.5),
        Value("demo-01/a/gone", None, "", "not_responding", 100.5),
        Value("demo-01/b/y", 2, "", "good", 101.5),
    ]


def test_packs_of_the_tests_own_making_are_read():
    """The helper and the reader agree."""
    values = content.read_pack(made(pack(density=7.5, alarm=True, fault="!not_responding")))
    assert [(value.point, value.value, value.quality) for value in values] == [
        ("demo-01/smoke-1203/density", 7.5, "good"),
        ("demo-01/smoke-1203/alarm", 1, "good"),
        ("demo-01/smoke-1203/fault", None, "not_responding"),
    ]
    assert {value.time for value in values} == {WALL_US / 1e6}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *(("gengfu.telemetry.pack", body) for body in (
            b"", b"{}", b"[1]", b'[{"n": "x"}]', b'[{"n": 1, "v": 1}]', b'[{"bn": "a", "bt": "b"}]',
            b'[{"n": "x", "v": true}]', b'[{"n": "x", "v": 1e999}]', b'[{"n": "x", "v": 9223372036854775808}]',
            b'[{"n": "x", "v": 1' + b"0" * 400 + b"}]", b'[{"n": "x", "vs": "\\ud800"}]', b'[{"n": "x", "vb": 1}]',
            b'[{"n": "x/quality", "v": 1}]', b"[" + b"{}," * 20_000 + b"{}]",
        )),
        *(("gengfu.alarm.transition", body) for body in (
            b"null", transition(text="x"), transition(text={"zh": "x"}), transition(active=1), transition(alarm=None),
            transition(alarm="x" * 1_001), transition(simulated="no"), transition(present="no"), transition(message="x"),
            transition(evidence=[]), transition(evidence=EVIDENCE | {"samples": {}}),
            transition(evidence=EVIDENCE | {"trend": [1]}), transition(evidence=EVIDENCE | {"when": 1}),
            transition(evidence=EVIDENCE | {"samples": EVIDENCE["samples"] * 200}),
        )),
        ("gengfu.event.clock", b'{"boot": "x", "monotonic": 1}'),
        ("gengfu.event.gap", b'{"first": 1, "last": 2}'),
    ],
)  # fmt: skip
def test_bodies_that_make_no_sense(kind, body):
    """Malformed, and nothing else."""
    with pytest.raises(Malformed):
        READERS[kind](made(body, kind))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["n", "v", "vs", "vb", "bn", "bt", "t", "u", "first", "last", "dropped", "reason", "boot",
                         "monotonic", "wall", "alarm", "text", "zh", "en", "after", "active", "class"]), inner, max_size=6
    ),
    max_leaves=15,
)  # fmt: skip


@given(st.sampled_from(sorted(READERS)), json_values)
def test_nothing_but_malformed_escapes(kind, value):
    """Any JSON in any reader; what passes can be stored: finite, bounded, encodable."""
    with contextlib.suppress(Malformed):
        READERS[kind](made(json.dumps(value).encode(), kind))
