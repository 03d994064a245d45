"""What `gengfu check` advises: `gateway.lint`."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import check, config, lint
from gateway.model import AlarmClass, Severity, Text
from rules.spec import Absence, AlarmSpec, All, Any, Equals, Held, KOfN, Latch, Not

ROOT = Path(__file__).parents[2]
SITE = """
gateway: {id: g}
buses:
  - {id: line, kind: serial, port: /dev/ttyUSB0, baud: 9600}
  - {id: calls, kind: listen, tcp_port: 7000, longest_silence_s: 600}
devices:
  - {id: smoke, bus: line, template: generic_smoke_loop, address: 1}
  - {id: door, bus: line, template: waveshare_io8_door, address: 2}
  - {id: hydrant, bus: calls, template: meokon_hydrant, address: SHMK19060013}
alarms:
"""


@pytest.fixture
def told(tmp_path):
    """The advice on alarms: (line, dotted path, English)."""

    def ask(*alarms, uncovered=(), site=SITE):
        path = tmp_path / "site.yaml"
        path.write_text(site + "".join(f"  - {alarm}\n" for alarm in alarms), encoding="utf-8")
        loaded = config.load(path)
        found = lint.warnings(loaded, check.report(loaded), uncovered)
        assert all(one.file == str(path) and one.zh for one in found)
        return [(one.line, one.path, one.en) for one in found]

    return ask


def alarm(when, name="x", cls="fault", more=""):
    return f"{{id: {name}, class: {cls}, severity: high, when: {when}{more}, text: {{zh: 一, en: x}}}}"


def about_alarms(found):
    return [one for one in found if one[1].startswith("alarms")]


def test_a_rule_that_contradicts_itself_is_named_with_its_line(told):
    never = "{all: [{equals: {point: door/door_open, value: true}}, {equals: {point: door/door_open, value: false}}]}"
    always = "{any: [{equals: {point: door/door_open, value: true}}, {equals: {point: door/door_open, value: false}}]}"
    assert about_alarms(told(alarm(never, "a"), alarm(always, "b"))) == [
        (11, "alarms[0]", "a: its condition can never be true"),
        (12, "alarms[1]", "b: its condition can never be false: it never clears"),
    ]


def test_a_fire_whose_line_is_too_slow_is_refused_and_another_class_is_not(told, tmp_path):
    """A hundred groups of a second each on one line: the round alone takes more than the 10 s of GB 26875.1."""
    many = "".join(f"  - {{id: s{n}, bus: line, template: generic_smoke_loop, address: {n}}}\n" for n in range(3, 203))
    site = SITE.replace("alarms:\n", f"{many}alarms:\n")
    site = site.replace("9600", "1200")
    fire = alarm("{equals: {point: smoke/alarm, value: true}}", "a", "fire", ", latching: true")
    water = alarm("{equals: {point: smoke/alarm, value: true}}", "b", "water")
    assert about_alarms(told(fire, water, site=site)) == []  # no advice: a mistake
    path = tmp_path / "site.yaml"
    path.write_text(site + f"  - {fire}\n  - {water}\n", encoding="utf-8")
    loaded = config.load(path)
    (mistake,) = lint.late(loaded, check.report(loaded))
    path, said = mistake.path, mistake.en
    assert path == "alarms[0]"
    assert said.endswith("a fire or personal alarm takes at most 10 s")


def test_a_delay_inside_of_a_condition_counts_as_one(tmp_path):
    """The shortest way to true counts."""
    (tmp_path / "site.yaml").write_text(SITE.replace("alarms:\n", ""), encoding="utf-8")
    site = config.load(tmp_path / "site.yaml")
    fire = Equals("smoke/alarm", 1)

    def late(when):
        alarms = (AlarmSpec("a", AlarmClass.FIRE, Severity.CRITICAL, when, Text("火", "fire")),)
        changed = replace(site, alarms=alarms)
        return lint.late(changed, check.report(site))

    assert late(Held(fire, 11))
    assert late(All((fire, Held(fire, 11))))
    assert late(KOfN(2, (fire, Held(fire, 11)), 60))
    assert late(Latch(Held(fire, 11), fire))
    assert late(Absence(fire, fire, 11))
    assert not late(Any((fire, Held(fire, 11))))
    assert not late(KOfN(1, (fire, Held(fire, 11)), 60))
    assert not late(Not(Held(fire, 11)))
    assert not late(Held(fire, 9))


def test_a_terminal_that_calls_is_not_slow(told):
    """It calls at once when it alarms; its longest silence is no delay."""
    assert not about_alarms(told(alarm("{equals: {point: hydrant/tilt, value: true}}", "a", "personal")))


def test_a_value_on_which_a_life_hangs_must_not_be_lost_unseen(told):
    """The density is no safety point: `silent` of its device does not notice when it alone is gone."""
    fire = alarm("{above: {point: smoke/temperature, limit: 60}}", "a", "fire", ", latching: true")
    ((_, _, said),) = about_alarms(told(fire))
    assert said == "a: nobody is told when these of its points are lost while their device answers: smoke/temperature"
    watch = alarm("{stale: {point: smoke/temperature, for_s: 60}}", "b")
    assert about_alarms(told(fire, watch)) == []


def test_points_that_no_rule_looks_at_are_listed(told):
    found = told(alarm("{equals: {point: door/door_open, value: true}}"))
    devices = {path: said for _, path, said in found if path.startswith("devices[")}
    assert devices["devices[0]"] == "smoke: no rule looks at these safety points: density, alarm, fault"
    assert "door_open" not in devices["devices[1]"]
    assert "lock_engaged" in devices["devices[1]"]
    (others,) = [said for _, path, said in found if path == "devices"]
    assert "temperature (1)" in others


def test_a_zone_of_a_partition_is_watched(told):
    partition = "partitions: [{id: p, text: {zh: 区, en: p}, zones: [{point: door/door_open}]}]\n"
    lonely = {
        what for _, path, what in told(site=SITE.replace("alarms:", partition + "alarms: []")) if path == "devices[1]"
    }
    assert lonely
    assert not any("door_open" in what for what in lonely)


def test_alarms_without_a_scenario_are_listed_and_a_long_list_is_cut(told):
    found = told(alarm("{equals: {point: door/door_open, value: true}}"), uncovered=[f"a{n:02}" for n in range(20)])
    (said,) = [said for _, path, said in found if path == "alarms"]
    assert said == f"alarms without a scenario: {', '.join(f'a{n:02}' for n in range(12))} … (+8)"


def test_check_prints_advice_and_does_not_refuse_for_it(tmp_path):
    """Also as JSON; the mistakes of scenario files are advice here."""
    (tmp_path / "site.yaml").write_text(SITE.replace("alarms:\n", ""), encoding="utf-8")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/bad.yaml").write_text("scenarios: 5", encoding="utf-8")
    for more in ([], ["--json"]):
        told = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "check", "site.yaml", *more],
            capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert "no rule looks at these safety points: density, alarm, fault" in told.stdout
        assert "bad.yaml" in told.stdout
    answer = json.loads(told.stdout)
    assert (answer["ok"], answer["mistakes"]) == (True, [])
    assert all(set(one) == {"file", "line", "path", "en", "zh"} for one in answer["warnings"])


def test_an_output_that_other_devices_can_hold_up_is_told(told):
    """On a line of its own it is not; what an output or key uses is no point that nobody reads."""
    shared = SITE.replace(
        "alarms:\n",
        "  - {id: panel, bus: line, template: waveshare_relay_d, address: 3}\n"
        "outputs:\n"
        "  - {id: horn, kind: sounder, classes: [fire], point: panel/relay_1}\n"
        "  - {id: led, kind: lamp, classes: [fire], gpio: {chip: /dev/gpiochip0, line: 17}}\n"
        "keys:\n"
        "  - {id: key, classes: [fire], point: panel/input_1}\n"
        "alarms:\n",
    )
    own = shared.replace("{id: panel, bus: line", "{id: panel, bus: guard").replace(
        "devices:\n", "  - {id: guard, kind: serial, port: /dev/ttyUSB1}\ndevices:\n"
    )
    ordinary = alarm("{equals: {point: door/door_open, value: true}}")
    found = [one for one in told(ordinary, site=shared) if one[1].startswith("outputs")]
    assert [one[:2] for one in found] == [(12, "outputs[0]")]
    assert "may come 1 s late" in found[0][2]
    assert not [one for one in told(ordinary, site=own) if one[1].startswith("outputs")]
    unused = " ".join(one[2] for one in told(ordinary, site=shared))
    assert "input_2" in unused
    assert "input_1 " not in unused
    assert "relay" not in unused
