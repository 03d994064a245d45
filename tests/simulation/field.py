"""The field behind the bus seam, at the level of exchanges: whole requests in, whole answers out, each at its time.

Devices, their answers and most of their faults are `firmware_sim`'s, so that the gateway's own drivers, codecs and buses
run. Who asked what when, and what was answered how, goes to the book (`tests.simulation.book`).

    asked(device, request, at, calm)            a request went out; `calm`: on a line where nothing is ill
    answered(device, at, points, how)           an answer that carries these values came in whole
    terminals: they call, when the gateway has a door for them
"""

from collections import Counter
from enum import IntEnum

from firmware_sim.bwm826 import Inclinometer
from firmware_sim.fault import HEALTHY, INTACT, What, distort
from firmware_sim.field import Field
from firmware_sim.line import Timing
from firmware_sim.meokon import answered
from firmware_sim.scene import read
from firmware_sim.slave import Answer
from gateway.field.bus import Bus
from gateway.field.timer import Deadline
from gateway.model import BusKind
from tests.drivers.loading import DIRECTORY
from tests.simulation.compound import PORT

RESPONSE_S = 0.005
SETTLED_S = 1.0
"""A line is well this long after its last fault."""
DOUBTED_S = 75.0
"""After a second copy of an answer the gateway may doubt the address for a minute."""
CALM_S = 25.0
"""Pauses between tries of a dead device grow to 10 s."""


class How(IntEnum):
    """What an answer that came in whole is worth to who must judge the gateway."""

    PERHAPS = 0
    """It may be taken or not: the line is ill."""
    RAISES = 1
    """It must be taken; the address may be in doubt, which raises and does not clear."""
    SURELY = 2


class _Log:
    def write(self, event, at=None, **more):
        """What matters goes to the book."""


class Plant:
    """All lines and devices of a compound."""

    def __init__(self, world, compound, folder, book):
        path = folder / "scene.yaml"
        path.write_text(compound.scene, encoding="utf-8")
        scene = read(path, DIRECTORY)
        self.world, self.book = world, book
        self.field = Field(_Log(), scene.members)
        self.lines = {spec.id: Line(self, spec.id, spec.slaves, BusKind.SERIAL) for spec in scene.lines}
        self.lines |= {spec.id: Line(self, spec.id, spec.units, BusKind.TCP) for spec in scene.servers}
        self.terminals = [Terminal(self, spec) for spec in scene.terminals]
        self._line_of = {slave.device: line for line in self.lines.values() for slave in line.slaves}
        for device, kind in compound.devices.items():
            self.set({f"{device}/{point}": value for point, value in kind.rest.items()})

    def set(self, values):
        self.field.set(values)

    def can(self, device, what):
        """Whether such a fault makes sense: TCP has its own checksum, nothing garbled comes out of it; and a sum of one
        byte tells too little of what babbles."""
        line = self._line_of.get(device)
        tcp = line is not None and line.kind is BusKind.TCP
        weak = line is not None and any(isinstance(slave, Inclinometer) for slave in line.slaves)
        possible = {str(one) for one in self.field.members[device].faults}
        if line is None and what == "foreign":  # a terminal with another's id is not played here
            return False
        return what in possible and not (tcp and what == "garbled") and not (weak and what == "babble")

    def fault(self, device, said):
        """A device is ill in a way that `firmware_sim.fault` knows, or well."""
        self.world.tell("fault", device, *(f"{key}={value}" for key, value in sorted(said.items())))
        self.field.set_fault({"device": device, **said})
        if line := self._line_of.get(device):
            line.fault()

    def bus(self, spec, clock):
        """The seam."""
        line = self.lines[spec.id]

        async def opened(_):
            return line.open(spec)

        return Bus(spec, clock, opened, lambda callback: Deadline(clock, callback))


class Line:
    """One line or connection, and who is on it."""

    def __init__(self, plant, name, slaves, kind):
        self.name, self.slaves, self.kind = name, slaves, kind
        self._plant, self._world, self._book = plant, plant.world, plant.book
        self._chance = plant.world.chance(f"line {name}")
        self._who = {}
        self._known = {}
        self.down = False
        self._ill_until = self._doubt_until = -1e9
        self._babbling = False
        self.port = None
        self.timing = Timing.of(9600)
        self.answers = Counter()

    def open(self, spec):
        if self.down:
            raise OSError("no such device")
        self.port = Port(self)
        return self.port

    def set_down(self, down):
        self.down = down
        self._world.tell("line", self.name, "down" if down else "up")
        self._note()
        for slave in self.slaves:
            self._book.missed(slave.device, self._world.now)
        if down and self.port is not None:
            self.port.wake()

    def fault(self):
        """A device on it changed its fault."""
        self._note()
        if any(self._fault(slave).what is What.BABBLE for slave in self.slaves) and not self._babbling:
            self._babbling = True
            self._babble()

    def well(self):
        """Whether nothing on it is ill, nor was just now."""
        return self._world.now >= self._ill_until and not self._ill()

    def calm(self):
        """Nothing was ill for so long that the gateway asks as it would if nothing ever had been."""
        return self._world.now >= self._ill_until + CALM_S and not self._ill()

    def _ill(self):
        return self.down or any(self._fault(slave) != HEALTHY for slave in self.slaves)

    def _note(self):
        doubts = (What.DOUBLE, What.LATE, What.BABBLE, What.ECHO, What.GARBLED, What.FOREIGN)
        self._ill_until = self._world.now + SETTLED_S
        if any(self._fault(slave).what in doubts for slave in self.slaves):
            self._doubt_until = float("inf")
        elif self._doubt_until == float("inf"):
            self._doubt_until = self._world.now + DOUBTED_S

    def _fault(self, slave):
        return self._plant.field.fault(slave.device)

    def _babble(self):
        loud = next((f for f in map(self._fault, self.slaves) if f.what is What.BABBLE), None)
        if loud is None:
            self._babbling = False
            return
        if self.kind is BusKind.SERIAL:
            self._say(self._chance.randbytes(loud.burst))
        self._world.after(max(loud.every_s, 0.1), self._babble)

    def asked(self, data):
        """The gateway sent a request."""
        now, serial = self._world.now, self.kind is BusKind.SERIAL
        key = data if serial else data[6:]
        slave = self._find(key)
        leaves_s = len(data) * self.timing.character_s if serial else 0.0
        if any(self._fault(one).what is What.ECHO for one in self.slaves) and serial:
            self._world.after(leaves_s, lambda: self._say(data))
        if slave is None:
            self._world.tell("unknown", self.name, data.hex())
            return
        fault = self._fault(slave)
        self._book.asked(slave.device, key, now, self.calm())
        answer = self._answer(slave, key, fault)
        whole = answer.data if serial else data[:2] + answer.data[2:]
        at = leaves_s + max(RESPONSE_S, self.timing.silence_s)
        pieces = distort(fault, whole, self._chance) if fault != HEALTHY else [(0.0, whole)]
        if fault.what is What.SLOW:
            pieces = [(sum(pause for pause, _ in pieces), whole)]
        for index, (pause_s, piece) in enumerate(pieces):
            at += pause_s + (len(piece) * self.timing.character_s if serial else 0.0)
            carried = answer if index == 0 and fault.what in INTACT else None
            self._world.after(at, self._saying(piece, slave.device, carried, key))
        if not pieces or fault.what not in INTACT:
            self._book.missed(slave.device, now)

    def _saying(self, piece, device, carried, key):
        def say():
            if self.down:
                return
            if carried is not None and self.port is not None and carried.points:
                how = How.PERHAPS
                if self.well():
                    how = How.SURELY if self._world.now >= self._doubt_until else How.RAISES
                self._book.answered(device, self._world.now, carried.points, how, key)
                self.answers[device] += 1
            self._say(piece)

        return say

    def _say(self, data):
        if self.port is not None and not self.down:
            self.port.come(data)

    def _find(self, key):
        if key not in self._who:
            self._who[key] = next((one for one in self.slaves if self._hears(one, key)), None)
        return self._who[key]

    def _hears(self, slave, key):
        if self.kind is BusKind.TCP:
            return key[0] == slave.address
        return isinstance(slave.hear(key, self._plant.field.values(slave.device), HEALTHY), Answer)

    def _answer(self, slave, key, fault):
        """Computed once for each state of the device."""
        values = self._plant.field.values(slave.device)
        known = self._known.get(key)
        if known is None or known[0] is not values or known[1] != fault:
            if self.kind is BusKind.TCP:
                answer = slave.hear_tcp(0, key[1:], values, fault)
            else:
                answer = slave.hear(key, values, fault)
            known = self._known[key] = (values, fault, answer)
        return known[2]


class Port:
    """`gateway.field.seams.Ends`."""

    modes = ()

    def __init__(self, line):
        self._line = line
        self._there = b""
        self._callback = None
        self._open = True

    def read(self):
        if self._line.down:
            raise OSError("hang-up")
        data, self._there = self._there, b""
        return data

    def write(self, data):
        if self._line.down:
            raise OSError("hang-up")
        self._line.asked(data)
        return len(data)

    def listen(self, callback):
        self._callback = callback
        if callback is not None and self._there:
            self._line._world.after(0.0, self.wake)

    def close(self):
        self._open = False
        if self._line.port is self:
            self._line.port = None

    def come(self, data):
        self._there += data
        self.wake()

    def wake(self):
        if self._callback is not None and self._open:
            self._callback()


class Terminal:
    """Calls every `interval_s` and at once when its alarm bits change; hangs up when it is not answered."""

    def __init__(self, plant, spec):
        self.device, self._gauge, self._interval_s = spec.id, spec.gauge, 30.0
        self._plant, self._world, self._book = plant, plant.world, plant.book
        self._call = None
        self._life = None
        self._answered = True
        self._alarms = 0
        plant.field.watchers.append(self._changed)
        self._world.after(1.0, self._due)

    def _due(self):
        self._world.after(self._interval_s, self._due)
        self._report()

    def _changed(self, device):
        if device == self.device:
            alarms = self._gauge.alarms(self._plant.field.values(device))
            if alarms != self._alarms:
                self._alarms = alarms
                self._world.after(0.0, self._report)

    def _report(self):
        life = self._world.life
        if life is not self._life or not self._answered:
            if self._call is not None:
                self._call.hang_up()
            self._call, self._life = None, life
        if life is None or self._plant.field.fault(self.device).what is What.SILENT:
            return
        if self._call is None:
            door = life.loop.doors.get(PORT)
            if door is None:
                return
            self._call = door.call(self._heard)
        values = self._plant.field.values(self.device)
        report = self._gauge.report(values, int(self._interval_s), int(self._world.wall()), ())
        fault = self._plant.field.fault(self.device)
        pieces = distort(fault, report.encode(), self._world.chance(f"terminal {self._world.now}"))
        self._answered = False
        if fault.what in INTACT or fault.what is What.LATE:  # it is said at once here
            how = How.SURELY if fault == HEALTHY else How.PERHAPS
            self._book.answered(self.device, self._world.now, self._gauge.carried(report), how, b"report")
        for _, piece in pieces:
            self._call.say(piece)

    def _heard(self, data):
        if data and answered(data, self._gauge.id):
            self._answered = True
        elif not data:
            self._call = None
