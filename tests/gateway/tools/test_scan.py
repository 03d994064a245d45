"""``gengfu scan`` on simulated lines: who is found, what is said of doubles, noise and death, and how long it takes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.text import Text
from typer.testing import CliRunner

from gateway import config
from gateway.commands import app, field
from gateway.model import BusKind, BusSpec
from gateway.tables import value_text
from gateway.tools import scanning
from gateway.tools.channel import ToolError
from gateway.tools.draft import draft
from gateway.tools.fitting import templates
from gateway.tools.lines import OwnLine
from gateway.tools.scanning import scan_port
from tests.gateway.tools.world import Gateway

ROOT = Path(__file__).parents[3]


def silent(_):
    """Nobody watches the progress bar."""


KNOWN = {name: one for name, one in templates().items() if name in ("generic_smoke_loop", "bwsensing_bwm826")}


def scanned(line, units=range(1, 9), known=KNOWN, **more):
    spec = BusSpec("line-1", BusKind.SERIAL, port=line.path)
    given = {"guess": False, "every": False, "thorough": False} | more
    return scan_port(spec, known, silent, units, **given)


def gengfu(*arguments):
    """The command line in this process: starting Python for each would cost more than the tool."""
    told = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "160"})
    return SimpleNamespace(returncode=told.exit_code, stdout=told.stdout, stderr=told.stderr)


def test_who_answers_is_found_with_its_template(simulated):
    """Two detectors and the inclinometer, which speaks another protocol; nobody else."""
    line = simulated()
    (one,) = scanned(line)
    assert [(device.driver, device.address, device.twice) for device in one.devices] == [
        ("modbus", 1, ""),
        ("modbus", 2, ""),
        ("bwm826", 0, ""),
    ]
    assert "generic_smoke_loop" in [fit.template for fit in one.devices[0].fits if fit.share == 1]
    assert (one.asked, one.noise_bytes, one.noisy, one.suspects, one.echo) == (8, 0, 0, [], False)
    assert "too_early" not in line.complaints()


def test_a_silent_address_costs_little_more_than_its_time_out(simulated):
    """24 addresses at 9600: within five times the least possible (shared machines)."""
    (one,) = scanned(simulated(), range(1, 25))
    assert one.took_s < 5 * one.least_s


def test_two_devices_on_one_address_are_told(simulated):
    """Both answer, one after the other: each time a second sound answer."""
    (one,) = scanned(simulated(twice=("one",)), range(1, 4))
    assert {device.address: device.twice for device in one.devices if device.driver == "modbus"} == {1: "yes", 2: ""}


def test_a_slow_device_is_found_in_the_second_pass(simulated):
    """It answers 0.2 s late, in the time of the addresses behind it."""
    line = simulated()
    line.field.set_fault({"device": "two", "what": "late", "after_s": 0.2})
    (one,) = scanned(line, range(1, 7), known={})
    assert [device.address for device in one.devices if device.driver == "modbus"] == [1, 2]


def test_a_scan_goes_through_noise(simulated):
    """A device that babbles: noise is told, and the others are found."""
    line = simulated()
    line.field.set_fault({"device": "tilt", "what": "babble", "every_s": 0.3})
    (one,) = scanned(line, range(1, 6))
    assert one.noise_bytes or one.noisy
    assert {1, 2} <= {device.address for device in one.devices}


def test_an_adapter_that_echoes_is_told_and_finds_the_same(simulated):
    line = simulated()
    line.field.set_fault({"device": "tilt", "what": "echo"})
    (one,) = scanned(line, range(1, 4))
    assert one.echo
    assert [device.address for device in one.devices if device.driver == "modbus"] == [1, 2]
    assert "echo: true" in draft([one])


def test_a_dead_line_ends_with_nobody(simulated):
    line = simulated()
    for device in ("one", "two", "tilt"):
        line.field.set_fault({"device": device, "what": "silent"})
    (one,) = scanned(line, range(1, 4))
    assert one.devices == []
    assert draft([one]).count("nobody answered") == 1


def test_a_setting_that_the_port_refuses_is_named_and_passed_over(simulated, monkeypatch):
    """A pty has no parity, as some adapters; the others are tried, and --all goes on after devices were found."""
    monkeypatch.setattr(scanning, "LIKELY", ((9600, "E"), (4800, "N")))
    first, refused, last = scanned(simulated(), range(1, 2), known={}, every=True)
    assert refused.spec.parity == "E"
    assert "cannot open" in refused.refused
    assert first.devices
    assert last.devices  # a pty has no speed either


def test_speeds_are_not_guessed_once_devices_were_found(simulated):
    """Every other setting would find nothing and cost its time."""
    assert len(scanned(simulated(), range(1, 2), known={}, guess=True)) == 1


def test_a_port_that_is_in_use_is_refused_with_the_way_out(simulated):
    line = simulated()
    spec = BusSpec("line-1", BusKind.SERIAL, port=line.path)
    with OwnLine(spec), pytest.raises(ToolError, match="--socket"):
        OwnLine(spec)


def test_the_draft_is_accepted_by_check(simulated, tmp_path):
    """Clear devices are in it; unclear ones are comments that name the candidates."""
    line = simulated()
    path = tmp_path / "draft.yaml"
    told = gengfu("scan", "--port", line.path, "--to", 3, "--draft", path, "--json")
    assert told.returncode == 0, told.stderr
    (found,) = json.loads(told.stdout)["lines"]
    assert [device["address"] for device in found["devices"]] == [1, 2, 0]
    site = config.load(path)
    assert [bus.port for bus in site.buses] == [line.path]
    assert "line-1-0-bwm826" in [device.id for device in site.devices]
    assert gengfu("check", path).returncode == 0
    assert gengfu("scan", "--port", line.path, "--to", 3, "--draft", path).returncode == 1


async def test_a_scan_through_the_running_gateway(simulated, tmp_path):
    """In idle slots: the device of no site file is found beside the site's own, and no safety poll came late."""
    line = simulated()
    async with Gateway(tmp_path, line.path) as gateway:
        told = await asyncio.to_thread(gengfu, "scan", "--socket", gateway.socket, "--to", 4, "--json", "--who", "李工")
        assert told.returncode == 0, told.stderr
        (found,) = json.loads(told.stdout)["lines"]
        assert [(device["address"], device["configured"]) for device in found["devices"]] == [(1, "one"), (2, "")]
        status = await asyncio.to_thread(gengfu, "status", "--socket", gateway.socket, "--json")
        assert json.loads(status.stdout)["parts"]["bus line-1"]["lent"]["late_s"] < 0.05


def test_a_killed_scan_gives_the_port_back(simulated):
    line = simulated()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "scan", "--port", line.path],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    while not line.answers("one"):
        assert process.poll() is None
    process.kill()
    process.wait()
    with OwnLine(BusSpec("line-1", BusKind.SERIAL, port=line.path)) as own:
        assert own.listen(0.0) == b""


def test_what_a_device_says_of_itself_is_shown_as_it_is(capsys):
    """Its words are no markup: a closing bracket was the end of the scan, after all its minutes."""
    said = {"vendor": "[/bold] [red]x", "product": "[link=http://x]"}
    found = scanning.Device("modbus", 1, 0.01, "", said, [])
    field._show([scanning.Scanned(BusSpec("line-1", BusKind.SERIAL, port="p"), [found])], as_json=False)
    shown = "".join(capsys.readouterr().out.split())
    assert "[/bold]" in shown
    assert "[red]x" in shown


@pytest.mark.parametrize("words", ["\x1b]0;title\x07", "\x9b31m", "a\rb\x7f", "[/]"])
def test_a_text_of_a_device_gives_the_terminal_no_orders(words):
    """Card numbers and names come from the wire: no escape sequence, no markup reaches the technician's screen."""
    shown = Text.from_markup(value_text({"value": words, "unit": ""})).plain
    assert shown.isprintable()
    assert len(shown) == len(words)
