"""`gengfu init`: the first site file, asked for or given by options."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import config
from gateway.first_site import Answers, District, Line, text
from tests.gateway.test_commands import ROOT, gengfu


def test_options_make_a_file_that_check_accepts(tmp_path):
    path = tmp_path / "site.yaml"
    told = gengfu(
        "init", path, "--no-ask", "--id", "lotus-7", "--position", "东门岗亭", "--line", "/dev/ttyUSB0",
        "--line", "/dev/ttyUSB1:19200", "--district", "district.example:8884", "--metrics",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    site = config.load(path)
    assert (site.gateway.id, site.gateway.place.position) == ("lotus-7", "东门岗亭")
    assert [(bus.port, bus.baud) for bus in site.buses] == [("/dev/ttyUSB0", 9600), ("/dev/ttyUSB1", 19200)]
    assert [(uplink.host, uplink.port) for uplink in site.uplinks] == [("district.example", 8884)]
    assert site.metrics is not None
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["site.yaml"]


def test_questions_are_asked_for_what_is_not_given(tmp_path):
    path = tmp_path / "site.yaml"
    told = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "init", str(path), "--line", "/dev/ttyUSB0"],
        input="tower-3\n消防站\n-\n", capture_output=True, text=True, cwd=ROOT, timeout=60, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert "网关编号" in told.stdout
    site = config.load(path)
    assert (site.gateway.id, site.uplinks) == ("tower-3", ())


def test_a_site_that_is_there_is_not_replaced(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("precious: 1\n")
    assert gengfu("init", path, "--no-ask").returncode == 1
    assert path.read_text() == "precious: 1\n"
    assert gengfu("init", path, "--no-ask", "--force").returncode == 0
    assert config.load(path).gateway.id == "gengfu-01"


def test_the_file_that_the_installation_put_there_is(tmp_path):
    """It watches nothing; nobody's work is in it."""
    path = tmp_path / "site.yaml"
    path.write_text((ROOT / "systemd" / "site.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert gengfu("init", path, "--no-ask", "--id", "new-1").returncode == 0
    assert config.load(path).gateway.id == "new-1"


def test_answers_that_make_no_site_are_told_and_nothing_is_written(tmp_path):
    path = tmp_path / "site.yaml"
    told = gengfu("init", path, "--no-ask", "--id", "no way!", "--line", "/dev/ttyUSB0:1234")
    assert told.returncode == 78
    assert "gateway.id" in told.stderr
    assert "buses[0]" in told.stderr
    assert list(tmp_path.iterdir()) == []


@given(position=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40))
def test_any_words_of_a_person_come_back_as_they_were(tmp_path_factory, position):
    """Quotes, backslashes, colons and Chinese are text, never YAML."""
    path = tmp_path_factory.mktemp("init") / "site.yaml"
    path.write_text(text(Answers("a", position, (Line("/dev/x"),), District("h"))), encoding="utf-8")
    try:
        assert config.load(path).gateway.place.position == position
    except config.ConfigError as error:
        assert {mistake.path for mistake in error.mistakes} <= {"gateway.place.position", ""}  # noqa: PT017


@pytest.mark.parametrize("given_", ["/dev/serial/by-path/platform-xhci-usb-0:1.3:1.0-port0"])
def test_a_port_named_by_its_path_keeps_its_colons(tmp_path, given_):
    path = tmp_path / "site.yaml"
    assert gengfu("init", path, "--no-ask", "--line", given_).returncode == 0
    assert config.load(path).buses[0].port == given_
