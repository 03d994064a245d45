"""What ``gengfu check`` tells: `gateway.check`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from drivers import DRIVERS
from gateway import check, config, pki
from gateway.errors import ConfigError

ROOT = Path(__file__).parents[2]
SITE = """
gateway: {id: g}
buses:
  - {id: line, kind: serial, port: /dev/ttyUSB0, baud: 9600, reply_timeout_s: 0.2}
  - {id: box, kind: tcp, host: h, reply_timeout_s: 0.4}
  - {id: calls, kind: listen, tcp_port: 7000, longest_silence_s: 600}
devices:
  - {id: a, bus: line, template: station, address: 1}
  - {id: b, bus: box, template: station, address: 1}
  - {id: c, bus: calls, template: caller, address: SHMK19060013}
alarms:
  - {id: x, class: fault, severity: low, when: {equals: {point: a/alarm, value: true}}, on_delay_s: 5, text: {zh: 一, en: x}}
  - {id: y, class: water, severity: low, when: {below: {point: c/pressure, limit: 1}}, text: {zh: 二, en: y}}
  - {id: z, class: fault, severity: low, when: {all: [{bit: {point: b/word, bit: 1}}, {not: {equals: {point: b/alarm, value: true}}}]}, text: {zh: 三, en: z}}
"""
TEMPLATES = Path(__file__).parent / "sites" / "templates"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    return config.load(tmp_path / "site.yaml", TEMPLATES)


def test_a_round_is_the_bytes_of_all_groups_on_the_line(site):
    """9600 8N1, by hand: two groups, a request of 8 bytes each, replies of 5 + 2 x 2 and 5 + 2 x 3 bytes."""
    line, box, calls = check.report(site).buses
    character_s = 10 / 9600
    by_hand = (8 + 9 + 8 + 11) * character_s + 2 * (2 * 3.5 * character_s + check.TURNAROUND_S)
    assert line.round_s == pytest.approx(by_hand)
    assert box.round_s == pytest.approx(2 * (check.TURNAROUND_S + check.NETWORK_S))
    assert calls.round_s == 0
    assert (line.devices, line.points, line.lost_s, box.lost_s) == (1, 5, 0.5, 0.4)


def test_a_driver_that_says_what_it_asks_is_believed(site):
    """Several exchanges a group are all counted."""
    sizes = [[(8, 9), (8, 9)], [(8, 11)]]
    drivers = {**DRIVERS, "modbus": replace(DRIVERS["modbus"], exchanges=lambda device, bus: sizes)}
    plain, told = (check.report(site, known).buses[0].round_s for known in (DRIVERS, drivers))
    character_s = 10 / 9600
    assert told - plain == pytest.approx((8 + 9 + 7) * character_s + check.TURNAROUND_S)


def test_the_worst_delay_counts_period_delay_and_dead_devices(site):
    """A change just after a read waits a period or a round; a terminal may be silent for as long as its bus allows."""
    alarms = {alarm.id: alarm.worst_s for alarm in check.report(site).alarms}
    none, one, two = alarms["x"]
    assert 6 < none < 6.1  # a period of 1 s, the poll, a delay of 5 s
    assert none == one  # the dead one's 0.5 s fit into the period
    assert 6.1 < two < 6.3
    assert alarms["y"] == (600, 600, 600)
    assert 10 < alarms["z"][0] < 10.1  # the slower of its points
    assert alarms["a/silent"] == (3, 3, 3)


def test_the_report_can_be_drawn_and_sent(site):
    """Rows fit their columns; JSON keeps all."""
    report = check.report(site)
    for table in report.tables():
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert all(isinstance(cell, str) for row in table.rows for cell in row)
    told = json.loads(json.dumps(report.to_json()))
    assert told["ok"] is True
    assert [device["id"] for device in told["devices"]] == ["a", "b", "c"]
    assert told["devices"][0]["proved"] is False


def test_check_refuses_what_load_does_and_what_is_wrong_with_the_uplinks(tmp_path):
    """One ConfigError either way; with its certificates in place the demo's site passes."""
    path = tmp_path / "site.yaml"
    path.write_text("gateway: {}\n")
    with pytest.raises(ConfigError, match="is missing"):
        check.check(path)
    path.write_bytes((ROOT / "examples" / "demo" / "site.yaml").read_bytes())
    with pytest.raises(ConfigError, match="cannot be read"):
        check.check(path)
    pki.init(tmp_path / "pki")
    report = check.check(path)
    assert report.gateway == "demo-01"
    assert all(bus.round_s < 1 for bus in report.buses)


def test_a_device_s_own_time_out_and_pause_are_counted(tmp_path):
    """A slow device is what a dead one costs; the pause after each reply is time of the line."""
    text = SITE.replace("template: station, address: 1}", "template: station, address: 1, options: {timeout_s: 2}}", 1)
    slow, usual = tmp_path / "slow.yaml", tmp_path / "usual.yaml"
    slow.write_text(text.replace("timeout_s: 2", "timeout_s: 2, settle_s: 0.5"), encoding="utf-8")
    usual.write_text(SITE, encoding="utf-8")
    lines = [check.report(config.load(path, TEMPLATES)).buses[0] for path in (slow, usual)]
    assert lines[0].lost_s == pytest.approx(2.3)
    assert lines[0].round_s - lines[1].round_s == pytest.approx(2 * 0.5)


def test_an_alarm_on_a_computed_point_is_as_late_as_its_slowest_input():
    """An expression counts all its points; what the gateway itself says is there at once; silence has its own time."""
    folder = Path(__file__).parent / "sites"
    worst = {
        alarm.id: alarm.worst_s[0]
        for alarm in check.report(config.load(folder / "good" / "over_time.yaml", folder / "templates")).alarms
    }
    assert worst["gap"] == worst["cel"] == worst["held"]
    assert 1 < worst["gap"] < 2
    assert worst["captured"] > 10
    assert worst["set-aside"] == 0
    assert worst["a/silent"] == 3
