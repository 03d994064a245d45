"""Scenario files become `rules.scenario`: `gateway.site.scenarios`."""

from pathlib import Path

import pytest

from gateway import config
from gateway.errors import ConfigError
from gateway.judged import judged
from gateway.model import Action, Command, Quality, State
from gateway.site import scenarios
from rules.clocks import Clocks
from rules.scenario import NOON, Becomes, Dated, Order, Restart, Stands, play
from rules.series import Entry

FOLDER = Path(__file__).parent / "scenarios"


@pytest.fixture(scope="module")
def rules():
    return judged(config.load(FOLDER / "site.yaml"))


def refused(text, rules, tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        scenarios.load(path, rules)
    return [f"{one.line} {one.path}: {one.en}" for one in caught.value.mistakes]


def test_every_form_is_understood(rules):
    """The values are those that the drivers give: booleans are 0 and 1, floats are floats."""
    one, other = scenarios.load(FOLDER / "good.yaml", rules)
    assert (one.name, one.step_s, other.step_s) == ("all forms", 2.0, 0.5)
    assert (one.usual["door/door_open"], other.usual["door/door_open"]) == (0, 1)
    assert one.usual["hydrant/pressure"] == 0.3
    assert one.usual["gateway/clock_trusted"] == 1
    assert one.series["smoke/density"] == (Entry(1.0), Entry(6.0))
    assert one.series["smoke/alarm"] == (Entry(0),) * 10
    assert one.series["door/door_open"] == (Entry(0), Entry(1), Entry(1))
    assert one.series["hydrant/pressure"] == (Entry(0.3, Quality.OUT_OF_RANGE),)
    assert one.happens == (
        Order(60, Command(Action.ACKNOWLEDGE, "fire", "Wang", 60, "seen")),
        Restart(90, 0),
        Restart(100, 60),
        Order(180, Command(Action.ACKNOWLEDGE, "fire", "Li", 180, "test"), True),
    )
    assert other.clocks == Clocks(0, 1771286400, True, 28800)
    assert other.happens == (
        Dated(1, Clocks(1, NOON.wall + 1, False, 28800)),
        Order(180, Command(Action.SHELVE, "open", "Li", 180, "test", 7200)),
    )
    assert one.expect == (
        Becomes(2, "fire", State.UNACKNOWLEDGED, "smoke/density", 6),
        Stands(2, {"fire": State.UNACKNOWLEDGED}),
        Stands(32, {"fire": State.UNACKNOWLEDGED, "open": State.UNACKNOWLEDGED}),
        Stands(60, {"fire": State.ACKNOWLEDGED, "open": State.UNACKNOWLEDGED}, True),
        Stands(0, {}, True),
    )


def test_they_are_played_by_the_engine_that_runs(rules):
    one, _ = scenarios.load(FOLDER / "good.yaml", rules)
    found = play(one, rules.tracks(), rules.specs, rules.watch)
    assert [difference.expected for difference in found] == []


def test_every_mistake_is_told_at_once_with_its_line(rules):
    """The whole list is in bad.errors; each mistake in both languages."""
    with pytest.raises(ConfigError) as caught:
        scenarios.load(FOLDER / "bad.yaml", rules)
    told = [f"{one.line}: {one.path}: {one.en} / {one.zh}" for one in caught.value.mistakes]
    assert told == (FOLDER / "bad.errors").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1 : has no value"),
        ("[]", "1 : must be a mapping of 'key: value'"),
        ("scenarios: []", "1 scenarios: must have at least 1 item(s)"),
        ("scenarios: 5", "1 scenarios: must be a list"),
        ("scenarios: [5]", "1 scenarios[0]: must be a mapping of 'key: value'"),
        ("scenarios: [{name: a, expect: [{at: -1, none: true}]}]", "1 scenarios[0].expect[0].at: must be at least 0"),
    ],
)
def test_a_file_that_is_none_is_refused(text, said, rules, tmp_path):
    assert said in refused(text, rules, tmp_path)


def test_a_command_that_does_not_exist_is_told_with_those_that_do(rules, tmp_path):
    (told,) = refused(
        "scenarios: [{name: a, happens: [{at: 1, do: shout, alarm: fire}], expect: [{at: 1, none: true}]}]",
        rules,
        tmp_path,
    )
    assert told.startswith("1 scenarios[0].happens[0].do: must be one of acknowledge, reset, shelve")


@pytest.mark.parametrize("clock", ["noon", "2026-01-05T12:00:00", "1950-01-01T00:00:00Z", "5"])
def test_a_clock_needs_its_zone(clock, rules, tmp_path):
    told = refused(f"scenarios: [{{name: a, clock: '{clock}', expect: [{{at: 1, none: true}}]}}]", rules, tmp_path)
    assert told[0].startswith("1 scenarios[0].clock: must be a time with its zone")


def test_an_endless_scenario_is_refused_before_it_is_played(rules, tmp_path):
    told = refused(
        "scenarios: [{name: a, points: {smoke/density: '1x999999'}, expect: [{at: 1, none: true}]}]", rules, tmp_path
    )
    assert told == ["1 scenarios[0].points.smoke/density: cannot be read: > 100000"]


def test_a_terminal_is_read_at_each_change_and_others_at_their_period(rules):
    tracks = {track.key: track for track in rules.tracks()}
    assert tracks["hydrant", 0].calls
    assert tracks["hydrant", 0].period_s == 200
    assert not tracks["smoke", 0].calls
    assert tracks["gateway", 0].period_s == 1


def test_partitions_are_armed_and_the_device_site_tells_of_them(rules, tmp_path):
    """Commands to people's own settings take the way that they take in the gateway; what they make has no series."""
    site = (FOLDER / "site.yaml").read_text(encoding="utf-8") + (
        "partitions: [{id: hall, text: {zh: 大厅, en: hall}, exit_delay_s: 10, entry_delay_s: 5, "
        "zones: [{point: door/door_open, entry: true}]}]\n"
    )
    (tmp_path / "site.yaml").write_text(site, encoding="utf-8")
    guarded = judged(config.load(tmp_path / "site.yaml"))
    (tmp_path / "one.yaml").write_text(
        """
scenarios:
  - name: hall
    points: {door/door_open: "0x29 1"}
    happens:
      - {at: 5s, do: arm, alarm: hall, value: away}
      - {at: 20s, restart: 1s}
      - {at: 40s, do: disarm, alarm: hall}
      - {at: 41s, do: level, value: nothing, refused: true}
      - {at: 42s, do: level, value: "2"}
    expect:
      - {at: 34s, none: true}
      - {at: 35s, alarm: site/hall, becomes: unacknowledged, by: site/hall.intrusion}
      - {at: 45s, only: {site/hall: returned}}
""",
        encoding="utf-8",
    )
    (one,) = scenarios.load(tmp_path / "one.yaml", guarded)
    assert play(one, guarded.tracks(), guarded.specs, guarded.watch) == []
    text = "scenarios: [{name: a, points: {site/hall: '1'}, happens: [{at: 1, do: arm, alarm: hal}], expect: [{at: 1, none: true}]}]"
    assert refused(text, guarded, tmp_path) == [
        "1 scenarios[0].points.site/hall: is computed, or set by persons: it has no series",
        "1 scenarios[0].happens[0].alarm: there is no partition 'hal'; did you mean 'hall'?",
    ]
