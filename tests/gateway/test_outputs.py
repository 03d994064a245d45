"""The guard room through the whole gateway but its link: simulated lines at 9600 baud, alarms, relays, a key, a dead disk."""

import asyncio
import itertools
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

import drivers
from firmware_sim import log as sim_log
from firmware_sim.field import Field
from firmware_sim.line import Line
from firmware_sim.log import Log
from firmware_sim.pty_port import PtyPort
from firmware_sim.scene import read
from gateway import config
from gateway.annunciator import Kind, OutputSpec
from gateway.clock import SystemClock
from gateway.control import Control
from gateway.ends import PAUSES_S
from gateway.field.bus import Bus
from gateway.fitting import Fitting
from gateway.model import Action, AlarmClass, Deadline, Lane, Scan, Severity, State, Text, Transition
from gateway.outputs import RENEW_S, Outputs
from gateway.parts import Parts, Seams
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.store.worker import ThreadWorker
from gateway.trail import Trail
from gateway.wire import payloads
from rules.spec import AlarmSpec, Equals
from tests.clocks import HandClock
from tests.gateway.test_ends import Bench
from tests.waiting import until

GOAL_S, TOLERANCE = 0.2, 5
SCENE = """
lines:
  - id: sensors
    baud: 9600
    devices:
      - {id: smoke-1, template: generic_smoke_loop, address: 1}
      - {id: smoke-2, template: generic_smoke_loop, address: 2}
      - {id: smoke-3, template: generic_smoke_loop, address: 3}
  - id: guard
    baud: 9600
    devices:
      - {id: panel, template: waveshare_relay_d, address: 1}
"""
SITE = """
gateway: {{id: g}}
buses:
  - {{id: sensors, kind: serial, port: {sensors}, reply_timeout_s: 0.1}}
  - {{id: guard, kind: serial, port: {guard}, reply_timeout_s: 0.1}}
devices:
  - {{id: smoke-1, bus: sensors, template: generic_smoke_loop, address: 1, periods_s: {{safety: 0.25}}}}
  - {{id: smoke-2, bus: sensors, template: generic_smoke_loop, address: 2, periods_s: {{safety: 0.25}}}}
  - {{id: smoke-3, bus: sensors, template: generic_smoke_loop, address: 3, periods_s: {{safety: 0.25}}}}
  - {{id: panel, bus: guard, template: waveshare_relay_d, address: 1, periods_s: {{inputs: 0.1, relays: 0.5}}}}
alarms:
  - {{id: fire-1, class: fire, severity: critical, latching: true, text: {{zh: 火, en: fire}}, when: {{equals: {{point: smoke-1/alarm, value: true}}}}}}
  - {{id: fire-2, class: fire, severity: critical, latching: true, text: {{zh: 火, en: fire}}, when: {{equals: {{point: smoke-2/alarm, value: true}}}}}}
outputs:
  - {{id: horn, kind: sounder, classes: [fire], point: panel/relay_1}}
  - {{id: lamp, kind: lamp, classes: [fire], point: panel/relay_2}}
  - {{id: buzzer, kind: sounder, classes: [fault], point: panel/relay_3, fail: hold}}
keys:
  - {{id: big-key, classes: [fire], point: panel/input_1}}
"""


class HangingWorker(ThreadWorker):
    """A disk that stops answering: its thread waits for ever in the next job."""

    def __init__(self, name):
        super().__init__(name)
        self.hangs = False
        self.healed = threading.Event()

    def submit(self, job):
        def hang():
            self.healed.wait(60)
            job()

        super().submit(hang if self.hangs else job)


class World:
    def __init__(self, folder):
        self.folder = folder
        (folder / "scene.yaml").write_text(SCENE)
        scene = read(folder / "scene.yaml", Path(drivers.__file__).parent / "templates")
        self._log = Log(folder / "simulator.jsonl")
        self.field = Field(self._log, scene.members)
        self.ports = {
            spec.id: PtyPort(Line(spec.id, spec.timing, spec.slaves, self.field, self._log, Random(1)))
            for spec in scene.lines
        }

    async def start(self):
        path = self.folder / "site.yaml"
        path.write_text(SITE.format(**{name: port.path for name, port in self.ports.items()}))
        clock = SystemClock()
        self.workers = {lane: HangingWorker(lane.value) for lane in Lane}
        numbers = itertools.count(1)
        self.lanes = [
            Journal(
                lane,
                self.folder / f"{lane.value}.db",
                "g",
                clock,
                self.workers[lane],
                1 << 26,
                lambda n: f"{next(numbers):0{2 * n}x}",
            )
            for lane in Lane
        ]
        opened = [await lane.open() for lane in self.lanes]
        seams = Seams(clock, HangingWorker, Bus, None, lambda: 0.5, lambda n: "ab" * n)
        self.parts = Parts(config.load(path), seams, *self.lanes, opened[0])
        self.parts.restore(opened[0])
        self.scans = []
        self.parts.pipeline.taps.append(self.scans.append)
        self.control = Control(self.folder / "s", {}, self.parts.pipeline.command, clock, self.parts.guard)
        self.tasks = [asyncio.ensure_future(poller.run()) for poller in self.parts.pollers.values()]
        await until(lambda: not any(self.relays()) and all(end.settled() for end in self.outputs.ends.values()))
        await until(lambda: len([one for one in self.scans if (one.device, one.group) == ("panel", 0)]) > 2)
        return self

    async def stop(self):
        for worker in self.workers.values():
            worker.hangs = False
            worker.healed.set()
        self.outputs.stop()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.parts.pipeline.close()
        for lane in self.lanes:
            await lane.close()
        for bus in self.parts.buses.values():
            bus.close()
        for port in self.ports.values():
            port.close()
        self._log.close()

    @property
    def outputs(self):
        return self.parts.fitting.outputs

    def relays(self):
        values = self.field.values("panel")
        return [values[f"relay_{number}"] for number in (1, 2, 3)]

    def sounds(self):
        return bool(self.relays()[0])

    def states(self):
        return {name: one.state.value for name, one in self.parts.engine.alarms().items() if name.startswith("fire")}

    def ask(self, do, subject="", who="王师傅", value=""):
        request = {"do": do, "alarm": subject, "who": who, "value": value}
        return self.control.answer(json.dumps(request).encode(), "root, uid 0")

    def status(self, output):
        return self.outputs.views()[f"output {output}"]()

    def latencies(self):
        """From the sample that raised (the end of its reply) to the relay that has heard its write."""
        raised = [
            scan.at
            for before, scan in itertools.pairwise(
                one for one in self.scans if isinstance(one, Scan) and (one.device, one.group) == ("smoke-1", 0)
            )
            if scan.values[1] == 1 and before.values[1] == 0
        ]
        entries = sim_log.read(self.folder / "simulator.jsonl")
        closed = [
            one["mono"] for one in entries
            if one["event"] == "change" and one.get("point") == "relay_1" and one["value"] == 1
        ]  # fmt: skip
        return [at - sample for sample, at in zip(raised, closed, strict=True)]


@pytest.fixture
async def world(tmp_path):
    world = await World(tmp_path).start()
    yield world
    await world.stop()


async def fires(world, times):
    """Raise and put out the same fire again and again."""
    for _ in range(times):
        world.field.set({"smoke-1/alarm": 1})
        await until(world.sounds)
        world.field.set({"smoke-1/alarm": 0})
        await until(lambda: world.states()["fire-1"] == "latched_unacknowledged")
        assert world.ask("acknowledge", "fire-1")["ok"]
        assert world.ask("reset", "fire-1")["ok"]
        await until(lambda: not world.sounds())


async def test_from_the_sample_to_the_horn_with_a_dead_disk_and_no_link(world):
    """p99 at most 200 ms (x5): at 9600 baud, the relay's line polled as ever, both journal threads hanging."""
    await fires(world, 3)
    well = len(world.latencies())
    for worker in world.workers.values():
        worker.hangs = True
    await fires(world, 8)
    found = sorted(world.latencies()[well:])
    sys.stderr.write(
        f"\nsample to relay, disk dead, link cut: median {found[4] * 1e3:.0f} ms, worst {found[-1] * 1e3:.0f} ms\n"
    )
    assert len(found) == 8
    assert found[-1] <= GOAL_S * TOLERANCE


async def test_the_key_silences_and_acknowledges_and_a_new_fire_sounds_again(world):
    """Recorded like a person's: the silence, then each alarm of its classes."""
    world.field.set({"smoke-1/alarm": 1})
    await until(world.sounds)
    world.field.set({"panel/input_1": 1})
    await until(lambda: not world.sounds())
    await until(lambda: world.states()["fire-1"] == "acknowledged")
    world.field.set({"panel/input_1": 0})
    world.field.set({"smoke-2/alarm": 1})
    await until(world.sounds)
    assert world.states()["fire-2"] == "unacknowledged"
    records = await world.lanes[0].after(0, 100, 1 << 24)
    commands = [json.loads(one.body) for one in records if one.kind == payloads.COMMAND]
    assert [(one["action"], one["alarm"], one["value"]) for one in commands] == [
        ("silence", "", "fire"),
        ("acknowledge", "fire-1", ""),
    ]
    assert {one["who"] for one in commands} == {"按键 key big-key"}


async def test_one_frame_of_a_pressed_key_acknowledges_nothing(world):
    world.field.set({"smoke-1/alarm": 1})
    await until(world.sounds)
    one = Scan("panel", 0, world.scans[-1].at, (1,) + (0,) * 7, bytes(8))
    world.outputs.hear(one)
    assert world.sounds()
    assert world.states()["fire-1"] == "unacknowledged"


async def test_a_person_silences_by_name(world):
    """Without a name it is refused, as is what does not sound or is not there; each is recorded."""
    assert not world.ask("silence")["ok"]
    world.field.set({"smoke-1/alarm": 1})
    await until(world.sounds)
    assert not world.ask("silence", who="")["ok"]
    assert "horn" in world.ask("silence", "trumpet")["en"]
    assert "fire" in world.ask("silence", value="smoke")["en"]
    assert world.ask("silence", "horn")["ok"]
    await until(lambda: not world.sounds())
    assert world.states()["fire-1"] == "unacknowledged"


async def test_the_lamp_flashes_until_the_district_has_it(world):
    """Then it is steady; what the broker alone has is not enough."""
    world.field.set({"smoke-1/alarm": 1})
    await until(world.sounds)
    await until(lambda: world.relays()[1])
    await until(lambda: not world.relays()[1])
    assert world.status("lamp")["shows"] == "flash"
    records = await world.lanes[0].after(0, 100, 1 << 24)
    raised = next(one for one in records if one.kind == payloads.TRANSITION)
    world.parts.pipeline.reached(raised, "broker")
    assert world.status("lamp")["shows"] == "flash"
    world.parts.pipeline.reached(raised, "district")
    assert world.status("lamp")["shows"] == "on"
    await until(lambda: world.relays()[1])


async def test_a_relay_that_lost_its_power_is_right_again(world):
    """The coil is open although nobody opened it."""
    world.field.set({"smoke-1/alarm": 1})
    await until(lambda: world.sounds() and world.outputs.ends["horn"].settled())
    world.field.set({"panel/relay_1": 0})
    await until(world.sounds, RENEW_S + 2)


async def test_a_dead_relay_is_a_fault_and_sounds_when_it_is_back(world):
    """And its line is not kept busy with it: the pauses grow."""
    world.field.set_fault({"device": "panel", "what": "silent"})
    world.field.set({"smoke-1/alarm": 1})
    await until(world.outputs.failing)
    assert world.status("horn")["error"]
    assert not world.sounds()
    world.field.set_fault({"device": "panel", "what": "none"})
    await until(world.sounds, 2 * max(PAUSES_S))
    await until(lambda: not world.outputs.failing(), 2 * max(PAUSES_S))


async def test_an_orderly_stop_is_quiet_where_the_site_says_so(world):
    """`fail: hold` stays as it is."""
    world.field.set({"smoke-1/alarm": 1})
    await until(world.sounds)
    world.outputs.ends["buzzer"].set(True, new=True)
    await until(lambda: world.relays()[2])
    await world.outputs.leave()
    assert world.relays() == [0, 0, 1]


async def test_after_a_start_what_is_not_acknowledged_sounds_anew(world):
    """Silence is not remembered: the safe side."""
    world.field.set({"smoke-1/alarm": 1})
    await until(world.sounds)
    assert world.ask("silence")["ok"]
    await until(lambda: not world.sounds())
    world.parts.fit()
    await until(world.sounds)
    assert world.status("horn")["for"] == ["fire-1"]
    assert world.parts.guard.faults == {}


class Written:
    """An end without a wire: what it was set to, and when."""

    def __init__(self, clock):
        self.clock, self.log, self.failing, self.on = clock, [], False, None

    def set(self, on, *, new=False):
        if self.failing == "bug":
            raise ZeroDivisionError
        if self.on is not on:
            self.on = on
            self.log.append((round(self.clock.monotonic() - 1000, 3), on))

    def renew(self):
        self.log.append((round(self.clock.monotonic() - 1000, 3), "again"))

    def settled(self):
        return True

    def release(self):
        self.log.append("released")

    def status(self):
        return {"failing": self.failing}


FIRE = AlarmSpec("f", AlarmClass.FIRE, Severity.CRITICAL, Equals("d/p", 1), Text("火", "fire"))


def fitted(longest_on_s=60.0):
    clock, guard, commands = HandClock(), Guard(), []
    classes = frozenset({AlarmClass.FIRE})
    specs = (
        OutputSpec("horn", Kind.SOUNDER, classes, "r/1", longest_on_s),
        OutputSpec("lamp", Kind.LAMP, classes, "r/2"),
    )
    ends = {spec.id: Written(clock) for spec in specs}

    def command(command):
        commands.append(command)
        return outputs.obey(command)

    outputs = Outputs(specs, ends, {"f": FIRE}, clock, guard, command)
    outputs.begin({}, lambda alarm: "pending")
    outputs.said, outputs.clock, outputs.guard = commands, clock, guard
    return outputs


def raised(outputs, after=State.UNACKNOWLEDGED):
    at = outputs.clock.monotonic()
    outputs.moved([Transition("f", State.NORMAL, after, at, Deadline(at), at)], ())


def test_a_longest_on_time_ends_as_a_recorded_silence():
    """By the output itself; a new call sounds again."""
    outputs = fitted()
    outputs.clock.advance(2)
    raised(outputs)
    outputs.clock.advance(200)
    (silence,) = outputs.said
    assert (silence.action, silence.alarm, silence.who) == (Action.SILENCE, "horn", "输出 output horn")
    assert "60 s" in silence.why
    assert [one for one in outputs.ends["horn"].log if one[1] != "again"] == [(0, False), (2, True), (62, False)]
    raised(outputs)
    assert outputs.ends["horn"].log[-1] == (202, True)
    outputs.clock.advance(59)
    assert len(outputs.said) == 1


def test_a_lamp_flashes_once_in_two_seconds():
    outputs = fitted()
    outputs.clock.advance(3)
    raised(outputs)
    outputs.clock.advance(3.5)
    log = [one for one in outputs.ends["lamp"].log if one[1] != "again"]
    assert log == [(0, False), (3, True), (4, False), (5, True), (6, False)]


def test_everything_is_set_again_every_few_seconds():
    """Every five at the latest, with what else is looked at once a second: an idle box wakes up once for all of it."""
    outputs = fitted()
    outputs.clock.advance(11)
    assert [at for at, on in outputs.ends["horn"].log if on == "again"] == pytest.approx([0, 4.65, 9.65])


def test_a_bug_in_an_output_ends_nothing():
    """It is told of, and what comes next is shown."""
    outputs = fitted()
    outputs.ends["lamp"].failing = "bug"
    outputs.clock.advance(6)
    assert "outputs" in outputs.guard.faults
    outputs.ends["lamp"].failing = False
    raised(outputs)
    outputs.clock.advance(6)
    assert outputs.guard.faults == {}
    assert outputs.ends["horn"].on is True


def test_an_alarm_of_a_site_that_is_just_coming_is_left_to_its_own_outputs():
    outputs = fitted()
    at = outputs.clock.monotonic()
    outputs.moved([Transition("new", State.NORMAL, State.UNACKNOWLEDGED, at, Deadline(at), at)], ())
    assert outputs.views()["output horn"]()["alarms"] == 0


def test_who_takes_over_keeps_what_it_has():
    outputs = fitted()
    raised(outputs)
    outputs.stop((outputs.ends["horn"],))
    outputs.clock.advance(100)
    assert outputs.ends["horn"].log[-1] == (0, True)
    assert outputs.ends["lamp"].log[-1] == "released"


async def test_an_output_that_the_next_site_has_not_is_switched_off(world):
    """The others go on as they are: the horn that sounds is not set again."""
    world.field.set({"smoke-1/alarm": 1})
    await until(lambda: world.sounds() and world.relays()[1])
    mind, room = world.parts.mind, world.parts.site.guard_room
    horn = world.outputs.ends["horn"]
    changed = replace(mind.site, guard_room=room._replace(outputs=room.outputs[:1], keys=()))
    world.parts.mind = replace(mind, site=changed)
    world.parts.fit()
    await until(lambda: world.relays() == [1, 0, 0])
    assert list(world.outputs.ends) == ["horn"]
    assert world.outputs.ends["horn"] is horn


GPIO_SITE = """
gateway: {{id: g}}
buses:
  - {{id: line, kind: serial, port: /dev/ttyUSB0}}
devices:
  - {{id: smoke-1, bus: line, template: generic_smoke_loop, address: 1}}
outputs:
  - {{id: horn, kind: sounder, classes: [fire], gpio: {{chip: {chip}, line: 17}}}}
  - {{id: lamp, kind: lamp, classes: [fire], gpio: {{chip: {chip}, line: 18, active_low: true}}}}
keys:
  - {{id: key, classes: [fire], gpio: {{chip: {chip}, line: 4}}}}
"""


async def test_lamp_sounder_and_key_on_gpio_lines(tmp_path):
    """Without a bus, a disk or a link: the played kernel's levels are what is seen."""
    bench = Bench(tmp_path / "gpiochip0")
    (tmp_path / "site.yaml").write_text(GPIO_SITE.format(chip=bench.kernel.chip))
    site, commands = config.load(tmp_path / "site.yaml"), []

    def command(command):
        commands.append((command.action, command.alarm, command.who))
        return fitting.outputs.obey(command) if command.action is Action.SILENCE else None

    trail = Trail({}, lambda state, within_s: None, bench.clock)
    pipeline = SimpleNamespace(taps=[], local=None, alarms=dict, trail=trail, command=command)
    fitting = Fitting(pipeline, bench.clock, Guard(), bench.take)
    fitting.fit(site, {"f": FIRE}, {})
    assert pipeline.local is fitting.outputs
    assert bench.kernel.level == {17: 0, 18: 0, 4: 0}
    bench.clock.advance(1)
    at = bench.clock.monotonic()
    pipeline.local.moved([Transition("f", State.NORMAL, State.UNACKNOWLEDGED, at, Deadline(at), at)], ())
    assert bench.kernel.level == {17: 1, 18: 1, 4: 0}
    bench.kernel.edge(4, 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.clock.advance(0.2)
    assert bench.kernel.level[17] == 0
    assert commands == [(Action.SILENCE, "", "按键 key key"), (Action.ACKNOWLEDGE, "f", "按键 key key")]
    assert fitting.outputs.views()["key key"]()["failing"] is False
    fitting.fit(site, {"f": FIRE}, {})
    fitting.outputs.stop()
    assert bench.kernel.lines == {}
    assert bench.kernel.level == {17: 0, 18: 0, 4: 1}
