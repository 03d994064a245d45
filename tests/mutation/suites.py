"""What is tried on which tests: the rooms whose programs are changed, and the mutants that nobody could notice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tests.mutation.mutants import Mutant, mutants


class Suite(NamedTuple):
    modules: tuple[str, ...]
    """Patterns of files below the root."""
    tests: tuple[str, ...]


SUITES = {
    "rules": Suite(("rules/*.py",), ("tests/rules/test_*.py",)),
    "codec": Suite(
        ("drivers/gb26875*.py", "drivers/modbus_pdu.py"),
        ("tests/drivers/test_*.py",),
    ),
    "link": Suite(
        ("gateway/link/mqtt.py", "gateway/link/stream.py", "gateway/link/outbox.py", "gateway/wire/mqtt5.py"),
        (
            *(f"tests/gateway/test_{name}.py" for name in ("mqtt", "uplink", "uplink_wire")),
            "tests/gateway/wire/test_mqtt5.py",
        ),
    ),
    "store": Suite(
        ("gateway/retention.py", *(f"gateway/store/{name}.py" for name in ("ranges", "settlement", "seal", "book"))),
        tuple(f"tests/gateway/test_{name}*.py" for name in ("retention", "ranges", "settlement", "seal", "journal")),
    ),
}
SKIPPED = frozenset({"__init__", "texts"})
"""`texts`: words, which other tests compare."""

_TRIAL = "one of many values that an expression is tried with"
_COUNTER = "only whether it is another number is looked at"
_DIALLED = "a session is not handed out before it has the broker's"
_TWO_FORMS = "a length of one byte is read the same either way"
_OPENED = "a lane is opened before anything is entered, and that sets it"
HARMLESS: dict[tuple[str, str, str, int], str] = {
    ("gateway.link.mqtt", "_MqttSession.__init__", "self.tls = '' -> (left out)", 0): _DIALLED,
    (
        "gateway.link.mqtt",
        "_MqttSession.__init__",
        "self.receive_maximum = mqtt5.RECEIVE_MAXIMUM -> (left out)",
        0,
    ): _DIALLED,
    (
        "gateway.link.mqtt",
        "_MqttSession.__init__",
        "self.maximum_packet_bytes = mqtt5.MAXIMUM_PACKET_BYTES -> (left out)",
        0,
    ): _DIALLED,
    ("gateway.link.mqtt", "_MqttSession.__init__", "self._heard_at = self._loop.time() -> (left out)", 0): _DIALLED,
    ("gateway.wire.mqtt5", "Inbound.feed", "size & 128 -> size | 128", 0): _TWO_FORMS,
    ("gateway.wire.mqtt5", "Inbound.feed", "128 -> 129", 0): _TWO_FORMS,
    ("gateway.wire.mqtt5", "_connected", "1 -> 2", 0): "any number but none",
    ("gateway.wire.mqtt5", "_connected", "1 -> 2", 1): "any number but none",
    ("gateway.retention", "fold", "1 -> 2", 1): "where the most repeated is none, the next is none either",
    ("gateway.store.book", "Book.__init__", "self._digest = ZERO -> (left out)", 0): _OPENED,
    ("gateway.store.book", "Book.__init__", "self.last = 0 -> (left out)", 0): _OPENED,
    ("gateway.store.book", "Book.__init__", "0 -> 1", 0): _OPENED,
    ("gateway.store.settlement", "Settlement.settle_to", "0 -> 1", 3): "no record has the number 0",
    ("rules.alarm", "Alarm._until", "math.inf -> 0.0", 0): "both have been long ago: it ends at once",
    (
        "rules.edges",
        "Rise.__init__",
        "False -> True",
        0,
    ): "nothing rises from what was never known; the first frame sets it",
    ("rules.engine", "Engine._compute", "True -> False", 0): "nobody asks for it",
    ("rules.expression", "_library", "sys.modules.setdefault('cel.cli', ModuleType('cel.cli')) -> (left out)", 0): (
        "memory; its test looks at a process of its own, where no mutant lives"
    ),
    ("rules.expression", "mistake", "0.0 -> 1.0", 0): _TRIAL,
    ("rules.expression", "mistake", "1.0 -> 2.0", 0): _TRIAL,
    ("rules.load", "Load._count", "24 -> 25", 0): "memory: an hour more is kept, and not counted",
    ("rules.load", "Load._first_out", "spec.cls == AlarmClass.FAULT -> spec.cls != AlarmClass.FAULT", 0): (
        "faults and the others are still counted apart"
    ),
    ("rules.measure", "Trend.__init__", "0 -> 1", 0): _COUNTER,
    (
        "rules.measure",
        "Trend.__init__",
        "math.inf -> 0.0",
        0,
    ): "in the first minute after a boot, what is kept is kept a minute later",
    ("rules.motion", "Motion.__init__", "0 -> 1", 0): _COUNTER,
    (
        "rules.order",
        "Absence.remember",
        "False -> True",
        0,
    ): "set anew with each thing that is awaited, not looked at before",
    ("rules.reach", "_Search.fits", "0 -> 1", 0): "the bound of the search, one less",
    ("rules.partition", "Partition._refusal", "1 -> 2", 0): "only the first is named",
}
"""Mutants that do the same as the program: (module, where, what, the how-manyth of these) -> why. Not tried, and counted for
themselves."""


def all_mutants(suite: Suite, tree: Path) -> list[Mutant]:
    files = sorted({file for pattern in suite.modules for file in tree.glob(pattern) if file.stem not in SKIPPED})
    found: list[Mutant] = []
    for file in files:
        module = ".".join(file.relative_to(tree).with_suffix("").parts)
        alike: Counter[tuple[str, str]] = Counter()
        for mutant in mutants(module, file.read_text(encoding="utf-8")):
            found.append(replace(mutant, nth=alike[mutant.where, mutant.what]))
            alike[mutant.where, mutant.what] += 1
    return found


def test_files(suite: Suite, tree: Path) -> list[Path]:
    return sorted({file for pattern in suite.tests for file in tree.glob(pattern)})


def why_harmless(mutant: Mutant) -> str:
    return HARMLESS.get((mutant.module, mutant.where, mutant.what, mutant.nth), "")
