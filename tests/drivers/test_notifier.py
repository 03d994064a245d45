"""The fire panel's driver against a simulated panel that shares no code with it: what it reads, and that it only reads."""

import ast
import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from drivers import DRIVERS, modbus, notifier
from drivers.notifier import NOTIFIER, At, Loop, Options, read
from firmware_sim.panel import ABSENT, ACTIVE, DISABLED, ENABLED, INACTIVE, NORMAL, PRE_ALARM, TROUBLE, Panel
from gateway.config import load
from gateway.errors import BusError, ConfigError
from gateway.model import BusKind, Device, Quality
from tests.drivers.loading import run

ALL = {number: Loop((1, 159), (1, 159)) for number in range(1, 11)}


def device(loops, address=1, **more):
    options = Options(loops=loops, **more)
    return Device("p", "bus", "notifier", address, NOTIFIER.grow("p", options, {}), options=options)


def poll(panel, one, group=0, bus=BusKind.SERIAL, opened=None):
    """Value and quality of each point, and the requests."""
    requests = []

    def answer(exchange):
        requests.append(exchange.request)
        if bus is BusKind.SERIAL:
            return panel.hear(exchange.request).data
        return panel.hear_tcp(int.from_bytes(exchange.request[:2], "big"), exchange.request[7:]).data

    scan, _ = run((opened or NOTIFIER.open(one, bus))(group), answer)
    names = [point.name for point in one.groups[group].points]
    return {
        name: (value, Quality(quality)) for name, value, quality in zip(names, scan.values, scan.qualities, strict=True)
    }, requests


@pytest.mark.parametrize("bus", [BusKind.SERIAL, BusKind.TCP])
def test_every_state_of_a_point_is_read(bus):
    """Normal, fire with its event, pre-alarm, trouble, disabled, not there; over RTU and TCP."""
    panel, good = Panel(), Quality.GOOD
    panel.put(2, "detector", 1)
    panel.fire(2, 2, event=5)
    panel.put(2, "detector", 3, NORMAL | PRE_ALARM)
    panel.put(2, "detector", 4, NORMAL | TROUBLE)
    panel.put(2, "detector", 5, INACTIVE | DISABLED)
    found, _ = poll(panel, device({2: Loop((1, 6))}), bus=bus)
    assert {name: found[f"l2_d{name}"] for name in ("001_fire", "002_fire", "002_event", "001_event")} == {
        "001_fire": (0, good), "002_fire": (1, good), "002_event": (5, good), "001_event": (0, good),
    }  # fmt: skip
    assert found["l2_d003_pre_alarm"] == found["l2_d004_trouble"] == found["l2_d005_disabled"] == (1, good)
    assert {quality for name, (_, quality) in found.items() if name.startswith("l2_d006")} == {Quality.NO_SUCH_REGISTER}


def test_modules_are_told_from_detectors():
    """The same number in the same loop, 200 registers apart."""
    panel = Panel()
    panel.put(10, "detector", 159)
    panel.put(10, "module", 159, ENABLED | ACTIVE | 3)
    one = device({10: Loop((159, 159), (159, 159))})
    assert poll(panel, one, 0)[0]["l10_d159_fire"] == (0, Quality.GOOD)
    assert poll(panel, one, 1)[0]["l10_m159_active"] == (1, Quality.GOOD)


@pytest.mark.parametrize(
    ("word", "field", "told"),
    [
        (ACTIVE | INACTIVE | 4, "active", (1, Quality.GOOD)),
        (ACTIVE | ABSENT, "active", (1, Quality.GOOD)),
        (ACTIVE | DISABLED | TROUBLE, "active", (1, Quality.GOOD)),
        (ABSENT | INACTIVE, "active", (None, Quality.NO_SUCH_REGISTER)),
        (0, "active", (None, Quality.SENSOR_FAULT)),
        (ENABLED, "active", (None, Quality.SENSOR_FAULT)),
        (DISABLED, "active", (0, Quality.GOOD)),
        (NORMAL | 7, "event", (0, Quality.GOOD)),
    ],
)
def test_words_that_contradict_themselves_never_hide_a_fire(word, field, told):
    """And never read as all well when they say nothing."""
    assert read(At("detector", 1, 1, field), word) == told


def test_what_was_read_before_an_error_is_kept():
    """159 detectors need two requests; the second is lost, the fire of the first is not."""
    panel, asked = Panel(), []
    panel.fire(1, 7)
    one = device({1: Loop((1, 159))})

    def answer(exchange):
        asked.append(exchange)
        if len(asked) == 2:
            raise BusError(Quality.NOT_RESPONDING, "lost")
        return panel.hear(exchange.request).data

    with pytest.raises(BusError) as lost:
        run(NOTIFIER.open(one, BusKind.SERIAL)(0), answer)
    scan = lost.value.scan
    values = dict(zip([point.name for point in one.groups[0].points], scan.values, strict=True))
    assert values["l1_d007_fire"] == 1
    assert scan.qualities[-1] == Quality.NOT_RESPONDING


def test_ten_full_loops_are_read_in_forty_requests():
    """3,180 addresses; every group is asked for in two requests, and `exchanges` says so."""
    one, panel = device(ALL), Panel()
    assert len(one.groups) == 20
    opened = NOTIFIER.open(one, BusKind.SERIAL)
    requests = [request for group in range(20) for request in poll(panel, one, group, opened=opened)[1]]
    assert len(requests) == 40
    assert [len(part) for part in NOTIFIER.exchanges(one, BusKind.SERIAL)] == [2] * 20
    assert panel.commands == []


SPANS = st.tuples(st.integers(1, 159), st.integers(0, 40)).map(lambda span: (span[0], min(159, sum(span))))


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.integers(1, 10), SPANS, min_size=1, max_size=3),
    st.sampled_from([BusKind.SERIAL, BusKind.TCP]),
    st.lists(st.sampled_from(["right", "busy", "refused", "lost", "noise"]), max_size=12),
)
def test_nothing_but_a_read_ever_leaves(spans, bus, fates):
    """Whatever loops are configured and whatever the panel answers: function 3, and no other. The panel is never told to
    acknowledge, silence, reset, disable or activate anything."""
    panel = Panel()
    one = device({loop: Loop(span, span) for loop, span in spans.items()})
    opened, left = NOTIFIER.open(one, bus), iter(fates)
    sent = []

    def answer(exchange):
        sent.append(exchange.request)
        fate = next(left, "right")
        if fate == "lost":
            raise BusError(Quality.NOT_RESPONDING, "lost")
        pdu = exchange.request[7:] if bus is BusKind.TCP else exchange.request[1:-2]
        if fate in ("busy", "refused"):
            reply = bytes([pdu[0] | 0x80, 6 if fate == "busy" else 2])
        elif fate == "noise":
            return b"\x55" * 9
        else:
            return (
                panel.hear_tcp(int.from_bytes(exchange.request[:2], "big"), pdu).data
                if bus is BusKind.TCP
                else panel.hear(exchange.request).data
            )
        if bus is BusKind.TCP:
            return exchange.request[:4] + (len(reply) + 1).to_bytes(2, "big") + exchange.request[6:7] + reply
        frame = exchange.request[:1] + reply
        return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")

    for group in [*range(len(one.groups))] * 2:
        try:
            run(opened(group), answer)
        except BusError:
            continue
    functions = {request[7] if bus is BusKind.TCP else request[1] for request in sent}
    assert functions == {3}
    assert panel.commands == []


def test_the_driver_has_no_way_to_write():
    """It takes no commands, and neither it nor the Modbus driver that it asks through names a function that writes."""
    assert DRIVERS["notifier"].tells == frozenset()
    assert DRIVERS["notifier"].listen is None
    for module in (notifier, modbus):
        names = {node.id for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Name)}
        names |= {
            alias.name
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert not [name for name in names if "write" in name.lower()]


SITE = """
gateway: {id: g-1}
buses: [{id: panel, kind: tcp, host: 192.0.2.1}]
devices:
  - {id: p, bus: panel, template: notifier_panel, address: 1, periods_s: {loop_1_modules: 5},
     options: {loops: {1: {detectors: [1, 20], modules: [1, 5]}, 3: {detectors: [1, 159]}}}}
alarms:
  - id: fire
    class: fire
    severity: critical
    latching: true
    when: {equals: {point: p/l3_d159_fire, value: true}}
    text: {zh: 火警, en: fire}
"""


def test_a_site_names_its_loops_and_gets_their_points(tmp_path):
    """With roles, periods and alarms like any other point."""
    file = tmp_path / "site.yaml"
    file.write_text(SITE, encoding="utf-8")
    (one,) = load(file).devices
    assert [(group.name, group.period_s, len(group.points)) for group in one.groups] == [
        ("status", 5, 1),
        ("loop_1_detectors", 2, 120),
        ("loop_1_modules", 5, 30),
        ("loop_3_detectors", 2, 954),
    ]
    roles = {point.role for group in one.groups for point in group.points}
    assert roles == {"", "fire", "pre_alarm", "fault", "isolated"}


@pytest.mark.parametrize(
    "wrong",
    ["{11: {detectors: [1, 2]}}", "{1: {detectors: [5, 2]}}", "{1: {modules: [0, 2]}}", "{1: {dtectors: [1, 2]}}"],
)
def test_loops_that_cannot_be_are_refused(tmp_path, wrong):
    """By the path of the option."""
    file = tmp_path / "site.yaml"
    text = SITE.replace("{1: {detectors: [1, 20], modules: [1, 5]}, 3: {detectors: [1, 159]}}", wrong)
    file.write_text(text.partition("alarms:")[0].replace("periods_s: {loop_1_modules: 5},", ""), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert any("options.loops" in str(mistake) for mistake in refused.value.mistakes)
