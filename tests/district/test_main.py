"""The command line: what it refuses and with which status, and the report for a person."""

import asyncio
import os
import subprocess
import sys

import pytest

from district import report
from district.__main__ import EX_CONFIG, main
from district.store import Arrival, Rejected, Store, StoreError
from tests import brokers
from tests.district.messages import transition
from tests.district.test_store import AT, alarm, telemetry


@pytest.fixture
def filled(tmp_path):
    """A database with something in each table of the report."""
    path = tmp_path / "district.db"
    store = Store(path)
    store.commit([
        alarm(1), alarm(1), alarm(2, transition("water-1", "acknowledged", simulated=False)), telemetry(1), telemetry(4),
        alarm(3, transition("normal-1", "normal")), Arrival(AT, Rejected("gengfu/v1/x/alarm", "[red]\x1b[2J", (), b"")),
    ])  # fmt: skip
    store.close()
    return path


def test_the_report_says_what_is_there_and_what_is_missing(filled, capsys):
    """Gateways with their counts, the hole, the alarms that are not normal; nothing of it is markup or a control code."""
    gateways, missing, alarms, rejected = (rows for _, _, rows in report.tables(filled))
    assert gateways == [("demo-01", "?", "5", "1", "2", "2", "2026-11-22 00:21:40Z")]
    assert [row[:5] for row in missing] == [("demo-01", "telemetry", "a01b", "2", "3")]
    assert {row[1] for row in alarms} == {"fire-1203", "water-1"}
    assert rejected[0][1] == "[red]�[2J"
    assert main(["--report", str(filled)]) == 0
    shown = capsys.readouterr().out
    assert "demo-01" in shown
    assert "网关" in shown
    assert "\x1b[2J" not in shown


def test_an_empty_database_has_an_empty_report(tmp_path, capsys):
    """It says so."""
    Store(tmp_path / "district.db").close()
    assert main(["--report", str(tmp_path / "district.db")]) == 0
    assert "none 无" in capsys.readouterr().out


def test_the_report_reads_beside_a_running_district(filled):
    """And makes no database where there is none."""
    store = Store(filled)
    try:
        assert report.tables(filled)[0][2]
    finally:
        store.close()
    missing = filled.with_name("none.db")
    with pytest.raises(StoreError):
        report.tables(missing)
    assert not missing.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["--broker", "localhost:8883"], ["--broker", "localhost"], ["--broker", "localhost:0"],
        ["--broker", "localhost:1", "--report", "x"],
        ["--broker", "a:1", "--ca", "a", "--cert", "b", "--key", "c", "--database", "d", "--receipt-interval-s", "0"],
    ],
)  # fmt: skip
def test_wrong_arguments_are_told(arguments, capsys):
    """Exit 2 with the usage."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err


def receive(tmp_path, **changes):
    given = {"broker": "localhost:1", "database": tmp_path / "district.db"} | {
        name: tmp_path / "pki" / file for name, file in (("ca", "ca.pem"), ("cert", "district.pem"), ("key", "district.key"))
    }  # fmt: skip
    return main([part for name, value in (given | changes).items() for part in (f"--{name}", str(value))])


def test_certificates_that_cannot_be_used_are_told_before_anything_is_touched(tmp_path, capsys):
    """Missing, or a key that does not belong to the certificate: 78, both languages, no database made."""
    assert receive(tmp_path) == EX_CONFIG
    brokers.make_certificates(tmp_path / "pki")
    assert receive(tmp_path, key=tmp_path / "pki" / "gateway.key") == EX_CONFIG
    assert "证书" in capsys.readouterr().err
    assert not (tmp_path / "district.db").exists()


def test_a_database_that_is_in_use_is_told(filled, tmp_path, capsys):
    """Exit 1; the one at work goes on."""
    brokers.make_certificates(tmp_path / "pki")
    store = Store(filled)
    try:
        assert receive(tmp_path) == 1
        assert "another district" in capsys.readouterr().err
    finally:
        store.close()


async def test_it_goes_on_trying_without_a_broker_and_ends_in_order(tmp_path):
    """Nobody listens: it says so once, keeps trying, and SIGTERM ends it with 0."""
    brokers.make_certificates(tmp_path / "pki")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "district", "--broker", "localhost:1", "--ca", str(tmp_path / "pki/ca.pem"),
        "--cert", str(tmp_path / "pki/district.pem"), "--key", str(tmp_path / "pki/district.key"),
        "--database", str(tmp_path / "district.db"), stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    line = await asyncio.wait_for(process.stderr.readline(), 15)
    assert b"not receiving" in line
    process.terminate()
    rest = await asyncio.wait_for(process.stderr.read(), 15)
    assert await process.wait() == 0
    assert b"Traceback" not in rest


def test_it_imports_nothing_of_the_gateway():
    """Written from the payload reference alone."""
    code = (
        "import sys, district.__main__; "
        "print(*sorted({name.split('.')[0] for name in sys.modules} & {'gateway', 'drivers', 'rules', 'firmware_sim', 'rich'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
