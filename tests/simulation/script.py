"""What befalls a compound: everything drawn from the seed before the gateway starts, so that nothing that the gateway does
changes what befalls it.

The last `HEAL_S` are without faults: alarms end, everything is delivered, and then it is judged.
"""

import json
from dataclasses import dataclass

from tests.simulation import broker, disk
from tests.simulation.compound import TIMEOUT_S

HEAL_S = 170.0
DEVICE_FAULTS = {
    "silent": lambda chance: {},
    "late": lambda chance: {"after_s": round(chance.uniform(TIMEOUT_S + 0.02, 0.33), 3)},
    "short": lambda chance: {"keep": chance.randint(1, 6)},
    "garbled": lambda chance: {"bits": 1},
    "foreign": lambda chance: {},
    "exception": lambda chance: {"code": chance.choice((2, 4, 6))},
    "babble": lambda chance: {"every_s": round(chance.uniform(0.1, 2.0), 2), "burst": chance.randint(1, 20)},
    "echo": lambda chance: {},
    "double": lambda chance: {"gap_s": round(chance.uniform(0.01, 0.2), 3)},
    "slow": lambda chance: {"pause_s": chance.choice((0.001, 0.005))},
}
JUMPS = (3 * 86400.0, -365 * 86400.0, -2e9, 3e8, 7.0, -0.7)
"""+3 d, -1 y, before 1970, 2036, and small ones, in seconds of error."""
ALL = ("field", "device", "line", "disk", "broker", "clock", "kill", "person")
"""Parts of a script that can be left out."""


@dataclass
class Rates:
    """How many of a kind in an hour."""

    stimulus: float = 60.0
    device: float = 30.0
    line: float = 8.0
    disk: float = 15.0
    broker: float = 24.0
    clock: float = 10.0
    kill: float = 15.0
    person: float = 30.0

    @classmethod
    def of(cls, minutes):
        """A day has fewer in an hour, so that there is quiet as well."""
        share = 1.0 if minutes <= 60 else 0.12
        return cls(**{name: rate * share for name, rate in vars(cls()).items()})


def write(run, minutes, parts):
    """Put all of it on the world's agenda."""
    end = minutes * 60.0 - HEAL_S
    writer = _Writer(run, end, Rates.of(minutes), parts)
    for part in ALL:
        if part in parts:
            getattr(writer, part)()
    run.world.at(end, run.heal)
    run.world.at(minutes * 60.0, run.finish)


class _Writer:
    def __init__(self, run, end, rates, parts):
        self.run, self.world, self.end, self.rates, self.parts = run, run.world, end, rates, parts

    def _times(self, name, rate):
        """Moments and a stream of chance for them."""
        chance = self.world.chance(f"script {name}")
        at = 5.0
        while True:
            at += chance.expovariate(rate / 3600.0)
            if at >= self.end - 1.0:
                return
            yield at, chance

    def _for(self, chance, at, longest_s):
        """How long: mostly short, some times long, over before healing begins."""
        return min(chance.uniform(0.5, longest_s) * chance.choice((0.1, 0.4, 1.0)), self.end - at)

    def field(self):
        """Values wander; now and then one is what must raise an alarm, or nearly."""
        plant, compound = self.run.plant, self.run.compound
        chance = self.world.chance("script wander")
        wander = [
            (device, point)
            for device, kind in compound.devices.items()
            for point in ("density", "temperature", "pitch", "y", "pressure")
            if point in kind.rest
        ]
        at = 3.0
        while wander and at < self.end:
            device, point = chance.choice(wander)
            rest = compound.devices[device].rest[point]
            value = round(rest + chance.uniform(0.0, 0.1) * (1.0 if point == "temperature" else 0.5), 2)
            self.world.at(at, self._setting(plant, device, point, value))
            at += chance.expovariate(1 / 10.0)
        for at, chance in self._times("stimulus", self.rates.stimulus):
            sense = chance.choice(compound.senses)
            rest = compound.devices[sense.device].rest[sense.point]
            value = sense.limit
            if sense.over is not None:
                value = round(chance.choice((sense.limit + chance.uniform(0.1, 3.0), sense.over + 0.05)), 2)
            self.world.at(at, self._setting(plant, sense.device, sense.point, value))
            self.world.at(at + self._for(chance, at, 120.0), self._setting(plant, sense.device, sense.point, rest))

    def _setting(self, plant, device, point, value):
        def change():
            self.world.tell("set", device, point, value)
            plant.set({f"{device}/{point}": value})

        return change

    def device(self):
        plant = self.run.plant
        for at, chance in self._times("device", self.rates.device):
            device = chance.choice(sorted(self.run.compound.devices))
            what = chance.choice(sorted(DEVICE_FAULTS))
            if not plant.can(device, what):
                continue
            said = {"what": what, **DEVICE_FAULTS[what](chance)}
            self.world.at(at, self._ailing(plant, device, said))
            self.world.at(at + self._for(chance, at, 90.0), self._ailing(plant, device, {"what": "none"}))

    def _ailing(self, plant, device, said):
        return lambda: plant.fault(device, said)

    def line(self):
        for at, chance in self._times("line", self.rates.line):
            line = self.run.plant.lines[chance.choice(sorted(self.run.plant.lines))]
            self.world.at(at, lambda line=line: line.set_down(True))
            self.world.at(at + self._for(chance, at, 60.0), lambda line=line: line.set_down(False))

    def disk(self):
        for at, chance in self._times("disk", self.rates.disk):
            mode, delay_s = chance.choice(disk.MODES), chance.choice((0.05, 0.3, 2.0, 15.0))
            self.world.at(at, lambda mode=mode, delay_s=delay_s: self.run.disk_mode(mode, delay_s))
            self.world.at(at + self._for(chance, at, 45.0), lambda: self.run.disk_mode("", 0.0))

    def broker(self):
        for at, chance in self._times("broker", self.rates.broker):
            modes = chance.sample(broker.MODES, chance.choice((1, 1, 2)))
            self.world.at(at, lambda modes=modes: self.run.broker_modes(*modes))
            self.world.at(at + self._for(chance, at, 180.0), lambda: self.run.broker_modes())

    def clock(self):
        for at, chance in self._times("clock", self.rates.clock):
            error_s = chance.choice(JUMPS)
            self.world.at(at, lambda error_s=error_s: self.run.machine.set(error_s, trusted=False))
            back = at + self._for(chance, at, 120.0)
            self.world.at(back, lambda: self.run.machine.set(0.0, trusted=True))

    def kill(self):
        for at, chance in self._times("kill", self.rates.kill):
            how, pause_s = chance.choice(("kill", "kill", "cut", "stop")), chance.choice((0.5, 3.0, 20.0))
            unset = chance.random() < 0.5
            self.world.at(at, lambda how=how, pause_s=pause_s, unset=unset: self.run.end_life(how, pause_s, unset))

    def person(self):
        senses = self.run.compound.senses
        for at, chance in self._times("person", self.rates.person):
            sense = chance.choice(senses)
            do = chance.choice(
                ("acknowledge", "acknowledge", "reset", "shelve", "unshelve", "take_out", "return", "status")
            )
            request = {
                "do": do,
                "alarm": sense.alarm,
                "who": "Wang",
                "why": "simulated",
                "for_s": chance.choice((20, 600)),
            }
            line = json.dumps(request).encode() + b"\n"
            self.world.at(at, lambda line=line: self.run.ask(line))
