"""The templates that the gateway uses, seen by the simulator: two independent readings of one register map agree."""

from pathlib import Path

import pytest
import yaml

import firmware_sim.__main__ as process
from firmware_sim import template
from firmware_sim.fault import HEALTHY
from firmware_sim.modbus import ModbusSlave
from firmware_sim.registers import RegisterMap, Table, Type

FILES = sorted(process.TEMPLATES.glob("*.yaml"))


def golden():
    for path in FILES:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        # A truth value that is a whole register has more than one "true": its golden reply cannot be worked out from 1.
        whole = any(p.get("kind") == "bool" and "bit" not in p["at"] and p["at"].get("type") for p in content["points"])
        if content["driver"] == "modbus" and not whole:
            for index, case in enumerate(content.get("golden", [])):
                yield pytest.param(path.stem, case, id=f"{path.stem}-{index}")


@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_every_template_can_be_simulated(name):
    """The simulator finds each point of it."""
    loaded = template.load(process.TEMPLATES, name)
    assert loaded.names
    assert len(loaded.maps) == (len(loaded.names) if loaded.driver == "modbus" else 0)


@pytest.mark.parametrize(("name", "case"), list(golden()))
def test_the_simulator_says_what_the_golden_exchanges_say(name, case):
    """Given the golden values, the simulated device answers the golden request with the golden reply."""
    loaded = template.load(process.TEMPLATES, name)
    slave = ModbusSlave(name, case["address"], RegisterMap(loaded.maps))
    values = dict.fromkeys(loaded.names, 0) | case["values"]
    for exchange in case["exchanges"]:
        request = bytes.fromhex(exchange["request"])
        if case.get("bus") == "tcp":
            answer = slave.hear_tcp(int.from_bytes(request[:2]), request[7:], values, HEALTHY)
        else:
            answer = slave.hear(request, values, HEALTHY)
        assert answer.data.hex(" ") == bytes.fromhex(exchange["reply"]).hex(" ")


def test_fields_of_a_point_are_read(tmp_path):
    """Table, register, type, bits, word order, scale, offset and not_available."""
    (tmp_path / "m.yaml").write_text(
        "driver: modbus\npoints:\n"
        "  - {name: a, at: {table: input, register: 0x44, type: uint32, word_order: CDAB, scale: 0.1, offset: 2}}\n"
        "  - {name: b, at: {table: holding, register: 1, bits: [4, 7]}}\n"
        "  - {name: c, at: {table: coil, register: 3}}\n"
        "  - {name: d, at: {table: holding, register: 2, type: int16, not_available: -1}}\n"
    )
    a, b, c, d = template.load(tmp_path, "m").maps
    assert (a.table, a.register, a.type, a.word_order, a.scale, a.offset) == (
        Table.INPUT,
        0x44,
        Type.UINT32,
        "CDAB",
        0.1,
        2,
    )
    assert (b.low_bit, b.high_bit) == (4, 7)
    assert c.type is Type.BIT
    assert d.not_available == -1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("points: []", "needs driver"),
        ("driver: modbus\npoints: [{name: a}]", "m.yaml: point a: at: is missing"),
        ("driver: modbus\npoints: [{name: a, at: {table: roll, register: 0}}]", "'roll' is not a valid Table"),
        ("driver: modbus\npoints: [{name: a, at: {table: holding}}]", "'register'"),
        ("driver: modbus\npoints: [{name: a, at: {table: holding, register: 0, word_order: AC}}]", "word_order"),
    ],
)
def test_a_template_that_cannot_be_understood_says_where(tmp_path, text, complaint):
    """ValueError with file, point and field."""
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        template.load(tmp_path, "m")


def test_a_template_that_is_not_there_is_named():
    """The scene's reader sees which file it should have been."""
    with pytest.raises(ValueError, match=r"nothing\.yaml"):
        template.load(Path("/nowhere"), "nothing")
