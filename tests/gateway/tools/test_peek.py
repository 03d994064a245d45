"""``gengfu peek``: the registers and values of a device, through the gateway or alone, and a choice into a template."""

import asyncio
import json

import yaml

from gateway.tools.peeking import runs, words
from tests.gateway.tools.test_scan import gengfu
from tests.gateway.tools.world import SITE, Gateway

TX, RX = bytes.fromhex("010300000002C40B"), bytes.fromhex("01030400150000EBF7")


def test_registers_are_taken_from_the_replies():
    found = words([("tx", TX), ("rx", RX)], rtu=True)
    assert found == [("holding", 0, 0x15), ("holding", 1, 0)]
    assert runs([*found, ("holding", 7, 5)]) == [("holding", 0, [0x15, 0]), ("holding", 7, [5])]


def test_a_damaged_reply_shows_no_registers():
    assert words([("tx", TX), ("rx", RX[:-1] + b"\0")], rtu=True) == []


def test_stand_alone_a_device_of_the_site_shows_bytes_and_values(simulated, tmp_path):
    line = simulated()
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(port=line.path))
    told = gengfu("peek", "one", "--stand-alone", site, "--json")
    assert told.returncode == 0, told.stderr
    groups = json.loads(told.stdout)["groups"]
    values = {point["name"]: point["value"] for group in groups for point in group["points"]}
    assert (values["density"], values["temperature"]) == (1.11, 21.5)
    assert {"table": "holding", "register": 0, "raw": 111} in [row for group in groups for row in group["registers"]]
    assert "density" in gengfu("peek", "one", "--stand-alone", site, "--once").stdout
    assert gengfu("peek", "nobody", "--stand-alone", site, "--once").returncode == 1


def test_a_display_value_is_found_and_the_choice_becomes_a_template(simulated, tmp_path):
    """The register of 21.5 is found on an address without any template, and `check` takes the file."""
    line = simulated()
    template = tmp_path / "templates" / "mine.yaml"
    template.parent.mkdir()
    raw = ("peek", 1, "--port", line.path, "--register", 0, "--count", 2)
    told = gengfu(*raw, "--json")
    assert told.returncode == 0, told.stderr
    told = gengfu(*raw, "--guess", "1.11", "--choose", 1, "--template", template, "--point", "density")
    assert told.returncode == 0, told.stderr
    told = gengfu(*raw, "--guess", "1.11", "--choose", 1, "--template", template, "--point", "again")
    assert told.returncode == 0, told.stderr
    points = yaml.safe_load(template.read_text())["points"]
    assert [point["name"] for point in points] == ["density", "again"]
    assert points[0]["at"] == {"table": "holding", "register": 0, "type": "int16", "scale": 0.01}
    before = template.read_text()
    assert gengfu(*raw, "--guess", "1.11", "--choose", 1, "--template", template, "--point", "again").returncode == 78
    assert template.read_text() == before
    assert gengfu(*raw, "--guess", "9999.5", "--choose", 1).returncode == 1
    site = tmp_path / "site.yaml"
    site.write_text(
        SITE.format(port=line.path)
        .replace("generic_smoke_loop", "mine")
        .split("alarms:")[0]
        .replace(", periods_s: {safety: 1}", "")
    )
    assert gengfu("check", site).returncode == 0


async def test_through_the_running_gateway(simulated, tmp_path):
    """A device of the site by its id, and an address that no site file names by its registers."""
    line = simulated()
    async with Gateway(tmp_path, line.path) as gateway:
        told = await asyncio.to_thread(gengfu, "peek", "one", "--socket", gateway.socket, "--json")
        assert told.returncode == 0, told.stderr
        assert {point["name"] for group in json.loads(told.stdout)["groups"] for point in group["points"]} >= {
            "density"
        }
        raw = ("peek", 2, "--register", 0, "--count", 2, "--socket", gateway.socket, "--json")
        told = await asyncio.to_thread(gengfu, *raw)
        assert json.loads(told.stdout)["groups"][0]["registers"][0] == {"table": "holding", "register": 0, "raw": 222}
