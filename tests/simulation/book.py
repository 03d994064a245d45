"""What the field showed, written down as it happens, and what may be claimed from it. Shares no code with the gateway.

* A claim says that an alarm must be there, or must be over, at a moment: only from answers that came in whole, on a line
  that was well, while one gateway ran, and for longer than the alarm's delays.
* Each value that the district is given, unless as one of an address that answers twice, must have been carried by an answer
  that came in when the gateway says it did.
* How often a device on a line without a fault was asked.
"""

import json
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.simulation.compound import FALSE as OVER
from tests.simulation.compound import TRUE
from tests.simulation.field import How

SLACK_S = 0.1
"""What the gateway may take for a transition beyond the moment of the answer or the end of a delay."""
LATEST_S = 0.005
SEVERAL_S = 1.0
"""A scan of several exchanges is dated by its last."""
STARTED_S = 25.0
"""At its start a gateway asks everything at once, then on its grid; longer than the longest period."""
BUILT_IN = ("gateway", "site", "virtual")


@dataclass
class Claim:
    alarm: str
    at: float
    there: bool


class _Watch:
    """One alarm's sense, answer by answer."""

    def __init__(self, sense):
        self.sense = sense
        self.claims = []
        self._last = None
        self._since = {True: None, False: None}
        self._frames = 0

    def saw(self, at, value, how):
        verdict = self.sense.shows(value)
        if verdict == TRUE:
            self._begin(True, at)
            self._claim(at, True, self.sense.on_s)
        elif verdict == OVER and how is How.SURELY:
            self._begin(False, at)
            if self._frames >= 2:
                self._claim(at, False, self.sense.off_s)
        elif verdict == OVER:
            self._since[True], self._last = None, None
        else:
            self._since[False], self._last = None, None  # at the edge: neither is claimed any more
            self._since[True] = None
            self._frames = 0

    def lost(self):
        self._since = {True: None, False: None}
        self._last = None
        self._frames = 0

    def _begin(self, there, at):
        if self._since[there] is None:
            self._since[there], self._frames, self._last = at, 0, None
        self._since[not there] = None
        self._frames += 1

    def _claim(self, at, there, delay_s):
        if at - self._since[there] < (delay_s + SLACK_S if delay_s else 0.0):
            return
        if self._last is None:
            self.claims.append(Claim(self.sense.alarm, at, there))
            self._last = Claim(self.sense.alarm, at, there)
            self.claims.append(self._last)
        self._last.at = at


class _History:
    """The answers to one request of one device."""

    def __init__(self):
        self.times = array("d")
        self.which = array("L")

    def add(self, at, number):
        self.times.append(at)
        self.which.append(number)


class Book:
    """Of one simulation. `findings` is empty as long as nothing is wrong."""

    def __init__(self, world, compound):
        self._world, self._compound = world, compound
        self.findings = []
        self.boots = {}
        """Boot id -> when it began."""
        self._watches = defaultdict(list)
        for sense in compound.senses:
            self._watches[sense.device].append(_Watch(sense))
        self._histories = defaultdict(dict)
        self._carried, self._numbers = [], {}
        self._asked = {}
        self._turned_at = 0.0
        self.periods = defaultdict(Counter)
        """(device, request) -> distance of two requests in hundredths of a second -> how often."""
        self.counts = Counter()
        self._packs = {}
        """Id of a pack -> nothing: those that were looked at."""
        self.spans = defaultdict(lambda: (array("Q"), array("d"), array("d")))
        """(journal, device) -> sequence of a pack, and the times of its first and its last scan."""

    def find(self, words):
        if len(self.findings) < 50:
            self.findings.append(words)

    # -- the field's side ----------------------------------------------------------------------------------------------

    def asked(self, device, key, at, calm):
        self.counts["requests"] += 1
        calm = calm and at - self._turned_at > STARTED_S
        last = self._asked.get((device, key))
        if last is not None and calm and last[1]:
            self.periods[device, key][round((at - last[0]) * 100)] += 1
        self._asked[device, key] = (at, calm)

    def answered(self, device, at, points, how, key):
        self.counts["answers"] += 1
        number = self._numbers.get(id(points))
        if number is None or self._carried[number] is not points:
            number = self._numbers[id(points)] = len(self._carried)
            self._carried.append(points)
        histories = self._histories[device]
        if key not in histories:
            histories[key] = _History()
        histories[key].add(at, number)
        self._world.tell("answer", device, number, int(how))
        if how is How.PERHAPS:
            self.missed(device, at)
            return
        for watch in self._watches[device]:
            if watch.sense.point in points:
                watch.saw(at, points[watch.sense.point], how)

    def missed(self, device, at):
        """An answer was spoilt, or did not come."""
        for watch in self._watches[device]:
            watch.lost()

    def turned(self):
        """A gateway began or ended: nothing is claimed across."""
        self._asked.clear()
        self._turned_at = self._world.now
        for watches in self._watches.values():
            for watch in watches:
                watch.lost()

    def claims(self):
        return [claim for watches in self._watches.values() for watch in watches for claim in watch.claims]

    # -- the district's side -------------------------------------------------------------------------------------------

    def heard(self, record):
        """A record that the district has stored (again)."""
        if record.type != "gengfu.telemetry.pack" or record.id in self._packs:
            return
        self._packs[record.id] = None
        began = self.boots[record.boot]
        offset = began + float(record.monotonic) - record.time_us / 1e6
        device, at = "", 0.0
        entries = json.loads(record.body)
        for entry, after in zip(entries, [*entries[1:], {}], strict=True):
            if "bn" in entry:
                device, at = entry["bn"].split("/")[1], entry["bt"] + offset
                self._span(record, device, at)
            if device in BUILT_IN or entry["n"].endswith("/quality"):
                continue
            self.counts["values"] += 1
            value = entry.get("v", entry.get("vb", entry.get("vs")))
            # Of an address that answers twice each value is told to be in doubt: it may be the copy of an earlier answer.
            doubted = after.get("n") == f"{entry['n']}/quality" and after.get("vs") == "double_address"
            if not doubted and not self._was(device, entry["n"], value, at):
                self.find(
                    f"{record.id}: {device}/{entry['n']} = {value} at {at:.3f} was not carried by any answer then"
                )

    def _span(self, record, device, at):
        sequences, firsts, lasts = self.spans[record.journal, device]
        if not sequences or sequences[-1] != record.sequence:
            sequences.append(record.sequence)
            firsts.append(at)
            lasts.append(at)
        elif at < lasts[-1] - 0.002:
            self.find(f"{record.id}: a scan of {device} at {at:.3f} after one at {lasts[-1]:.3f}")
        lasts[-1] = at

    def _was(self, device, point, value, at):
        """Whether an answer that came in then carried this value."""
        within_s = SEVERAL_S if self._compound.devices[device].several else LATEST_S
        for history in self._histories[device].values():
            index = bisect_right(history.times, at + 0.002) - 1
            if index >= 0 and at - history.times[index] <= within_s:
                points = self._carried[history.which[index]]
                if point in points and abs(float(value) - float(points[point])) <= 1e-5 * max(1.0, abs(points[point])):
                    return True
        return False
