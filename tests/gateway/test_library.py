"""The rule library's own files, and what they become on a site. Mistakes of a site: ``sites/bad/library.yaml``."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivers import DRIVERS
from gateway import config
from gateway.commands import app
from gateway.model import Place
from gateway.site import library, library_page
from gateway.site.expansion import ANY, AREAS, WHOLE
from gateway.site.roles import CLASSES, ROLES
from rules.spec import Above, Equals, KOfN, Not

SITES = Path(__file__).parent / "sites"
ROOT = Path(__file__).parents[2]
RULES = [rule for family in library.families().values() for rule in family.rules]
CHINESE = re.compile("[\u4e00-\u9fff]")


def roles_of(node):
    """All roles that a tree looks at."""
    if isinstance(node, list):
        return {role for one in node for role in roles_of(one)}
    if not isinstance(node, dict):
        return set()
    own = {node["role"]} if isinstance(node.get("role"), str) else set()
    return own | {role for one in node.values() for role in roles_of(one)}


def loops_of(node):
    if isinstance(node, list):
        return [loop for one in node for loop in loops_of(one)]
    if not isinstance(node, dict):
        return []
    own = [node["for_each"]] if "for_each" in node else []
    return own + [loop for one in node.values() for loop in loops_of(one)]


def site(tmp_path, devices, more="library: {fire: {}}"):
    path = tmp_path / "site.yaml"
    head = "gateway: {id: g}\nbuses:\n  - {id: line, kind: serial, port: /dev/ttyUSB0}\ndevices:\n"
    path.write_text(head + "".join(f"  - {{bus: line, {one}}}\n" for one in devices) + more + "\n", encoding="utf-8")
    return config.load(path, SITES / "templates", DRIVERS)


def of(loaded, name):
    return next(alarm for alarm in loaded.alarms if alarm.id == name)


def test_ids_are_unique_in_the_whole_library():
    """An alarm is ``<device>/<rule>``: two rules of one id would be one alarm. ``silent`` is every device's own."""
    names = [rule.shape.id for rule in RULES]
    assert len(set(names)) == len(names) > 0
    assert "silent" not in names


def test_parameters_of_two_families_have_different_names():
    """A device names them without the family."""
    names = [name for family in library.families().values() for name in family.shape.parameters]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("family", library.families().values(), ids=lambda family: family.name)
def test_every_parameter_is_used_and_its_default_is_allowed(family):
    used = {name for rule in family.rules for name in rule.parameters}
    assert used == set(family.shape.parameters)
    for name, parameter in family.shape.parameters.items():
        low, high = parameter.range
        assert low <= parameter.default <= high, name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_only_what_there_is(rule):
    """Classes, roles, parameters; and each role that it needs or that it makes one alarm each for is one that it uses."""
    loops = loops_of(rule.shape.alarm)
    assert {*rule.shape.classes, *(one for loop in loops for one in loop.get("classes", []))} <= {*CLASSES, ANY}
    assert {loop.get("within", "zone") for loop in loops} <= set(AREAS)
    needed = {role for need in rule.shape.needs for role in ([need] if isinstance(need, str) else need)}
    assert roles_of(rule.shape.alarm) <= {*ROLES, WHOLE}
    assert needed <= {*ROLES}
    assert {rule.shape.each} <= {"", *roles_of(rule.shape.alarm)}
    dollars = {str(value).removeprefix("-") for value in library.values(rule.shape.alarm) if "$" in str(value)}
    assert dollars <= {f"${name}" for name in rule.parameters}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_explained_in_both_languages(rule):
    """What it is for, what it does with unknown, where it is from: Chinese in the Chinese, none in the English."""
    texts = [rule.shape.title_, rule.shape.explain, rule.shape.unknown, *(cite.says for cite in rule.shape.cites)]
    for text in texts:
        assert CHINESE.search(text.zh)
        assert not CHINESE.search(text.en)
    assert CHINESE.search(rule.shape.alarm["text"]["zh"])
    assert not CHINESE.search(rule.shape.alarm["text"]["en"])


def test_every_role_and_class_has_its_words():
    for text in (*CLASSES.values(), *(role.text for role in ROLES.values())):
        assert CHINESE.search(text.zh)
        assert not CHINESE.search(text.en)


def test_a_site_switches_rules_on_and_its_devices_change_them():
    """The site's number, the device's own before it, also where it is one of several in a zone; what is left out has a reason."""
    loaded, chosen = config.load_with_library(SITES / "good" / "library.yaml", SITES / "templates", DRIVERS)
    assert of(loaded, "a/first-signal").when.of == (Equals("a/alarm", 1), Above("a/density", 3.5, 0.5))
    assert of(loaded, "b/first-signal").when.of[1] == Above("b/density", 2, 0.5)
    confirmed = of(loaded, "z/confirmed")
    assert isinstance(confirmed.when, KOfN)
    assert [part.of[1].limit for part in confirmed.when.of] == [3.5, 2]
    assert confirmed.rule == "fire/confirmed@1"
    [left] = chosen.left_out
    assert (left.device, left.rule, left.why) == ("c", "fire/removed", "装修至月底")
    assert "c/removed" not in {alarm.id for alarm in loaded.alarms}
    assert "fire/heat" in {rule.name for rule in chosen.idle}


def test_a_zone_s_alarm_is_at_what_its_devices_have_in_common():
    """The floor, not one of its flats."""
    loaded = config.load(SITES / "good" / "library.yaml", SITES / "templates", DRIVERS)
    assert of(loaded, "z/confirmed").place == Place(building="1", floor="2", zone="z")
    assert of(loaded, "z/confirmed").text.zh == "分区 z 火警已确认（两个独立信号）"


def test_a_zone_with_one_device_has_nothing_to_confirm():
    loaded = config.load(SITES / "good" / "library.yaml", SITES / "templates", DRIVERS)
    assert "y/confirmed" not in {alarm.id for alarm in loaded.alarms}


def test_a_building_without_lifts_or_doors_is_not_told_that_they_did_not_follow_a_fire():
    """The linkage rules stay away where there is nothing that could be late; they do not become a second fire alarm."""
    loaded = config.load(ROOT / "examples" / "first-hour" / "site.yaml")
    made = {alarm.id for alarm in loaded.alarms}
    assert {"b7-f3/confirmed", "b7-f3/doors-not-released"} <= made  # it has a door
    assert "b7-f3/lifts-not-recalled" not in made  # it has no lift


def test_contacts_the_other_way_round_and_states_of_an_enumeration_are_roles():
    """``role_value``: the value at which the role is true."""
    loaded = config.load(SITES / "good" / "library.yaml", SITES / "templates", DRIVERS)
    assert of(loaded, "a/removed").when == Equals("a/seated", 0)
    assert of(loaded, "a/isolated").when == Equals("a/mode", 1)


def test_a_rule_asks_for_the_opposite_of_a_state():
    """``value: false`` of a contact is its other value."""
    compound = config.load(ROOT / "examples" / "compound" / "site.yaml")
    released = of(compound, "door-7-1/forced").when.of[1].of.of
    assert released.of[0] == Equals("door-7-1/lock_engaged", 0)
    assert of(compound, "door-7-1/held-open").when.of[1] == Not(Equals("door-7-1/fire_release", 1))


def test_two_points_of_one_role_are_two_alarms_where_the_rule_says_so(tmp_path):
    """A panel's detectors; each with its point's name."""
    loaded = site(tmp_path, ["id: p, template: two_fires, address: 1"])
    assert of(loaded, "p/first-signal.east").when == Equals("p/east", 1)
    assert of(loaded, "p/first-signal.west").text.zh == "双区控制器 西区：火警信号（未确认）"


def test_a_file_of_the_library_that_is_damaged_says_where(tmp_path):
    """`ConfigError` with file and line, like every other file."""
    path = tmp_path / "broken.yaml"
    path.write_text("title: {zh: 坏, en: bad}\nrules:\n  - {id: x}\n", encoding="utf-8")
    with pytest.raises(config.ConfigError) as caught:
        library.load(path)
    assert {mistake.line for mistake in caught.value.mistakes} == {3}


def invoke(*arguments):
    return CliRunner().invoke(app, ["rules", *arguments])


def test_the_command_lists_the_library_and_explains_a_rule():
    """In both languages; a misspelt name gets the nearest one and exit status 1."""
    listed = json.loads(invoke("--json").stdout)["rules"]
    assert [one["rule"] for one in listed] == [rule.reference for rule in RULES]
    assert "Rule library" in invoke().stdout
    told = invoke("explain", "fire/confirmed").stdout
    assert "GB 50116-2013, 4.6.1 (B)" in told
    assert "confirm_s = 60 s" in told
    assert CHINESE.search(told)
    assert json.loads(invoke("explain", "fire/confirmed@1", "--json").stdout)["id"] == "confirmed"
    wrong = invoke("explain", "fire/confirmd")
    assert wrong.exit_code == 1
    assert "did you mean 'fire/confirmed'?" in wrong.stderr


def test_the_command_says_what_the_library_becomes_on_a_site():
    """Alarms with their parameters, what fits nothing, what was left out and why."""
    compound = str(ROOT / "examples" / "compound" / "site.yaml")
    told = json.loads(invoke(compound, "--json").stdout)
    held = {one["alarm"]: one["parameters"] for one in told["alarms"] if one["rule"].startswith("access/held-open@")}
    assert held["door-8-1/held-open"] == {"hold_open_s": 300}
    assert held["door-7-1/held-open"] == {"hold_open_s": 120}
    assert "fire/heat" in told["idle"]
    assert {"device": "tilt-top", "rule": "slope/tilt-drift"}.items() <= told["without"][0].items()
    shown = invoke(compound).stdout
    assert "Left out" in shown
    assert "fire/heat: switched on, fits nothing here" in shown


def test_the_command_tells_the_mistakes_of_a_site():
    wrong = invoke(str(SITES / "bad" / "roles.yaml"))
    assert wrong.exit_code == 78
    assert "roles.yaml" in wrong.stderr


def test_the_page_in_docs_is_the_one_of_the_code():
    """`make reference` writes it; `make check` compares."""
    assert (ROOT / "docs" / "rule-library.md").read_text(encoding="utf-8") == library_page.page()
