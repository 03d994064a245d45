"""The scenarios of the rule library, ``library/{fast,slow}/scenarios``: each rule raises where it should, and only there."""

import os
from pathlib import Path

import pytest

from gateway import config
from gateway.judged import judged
from gateway.site import library, scenarios
from rules.scenario import play

HERE = Path(__file__).parent / "library"
ROOT = Path(__file__).parents[2]
SITES = {name: judged(config.load(HERE / name / "site.yaml")) for name in ("fast", "slow")}
EXAMPLES = {name: ROOT / "examples" / name / "site.yaml" for name in ("compound", "station")}
FULL = os.environ.get("GENGFU_FAULTS") == "full"
"""Also those that take minutes."""


def read(site, rules):
    paths = [*scenarios.beside(site), *(sorted(site.parent.glob("scenarios/slow/*.yaml")) if FULL else ())]
    return [
        pytest.param(rules, one, id=f"{path.stem}: {one.name}") for path in paths for one in scenarios.load(path, rules)
    ]


ALL = [one for name, rules in SITES.items() for one in read(HERE / name / "site.yaml", rules)]
DAYS = [one for one in ALL if one.id.startswith("slope:")]


class Alone:
    """The site's rules without the gateway's own device, which would be looked at once a second for days."""

    def __init__(self, rules, now, saved):
        self._engine = rules.engine(now)
        self._engine.step(None, now)

    def take(self, scan):
        return self._engine.step(scan, scan.at).transitions

    def wake(self, at):
        return self._engine.step(None, at).transitions

    def date(self, clocks):
        return self._engine.step(clocks, clocks.at).transitions

    def alarms(self):
        return self._engine.alarms()


@pytest.mark.parametrize(("rules", "scenario"), [one for one in ALL if one not in DAYS])
def test_scenario(rules, scenario):
    """As ``gengfu test-rules`` plays it."""
    assert play(scenario, rules.tracks(), rules.specs, rules.watch) == []


@pytest.mark.parametrize(("rules", "scenario"), DAYS)
def test_scenario_of_days(rules, scenario):
    """Slopes alone."""
    tracks = tuple(track for track in rules.tracks() if track.key[0] in ("t1", "m1"))
    assert play(scenario, tracks, rules.specs, lambda now, saved: Alone(rules, now, saved)) == []


@pytest.mark.parametrize(
    ("rules", "scenario"), [one for site in EXAMPLES.values() for one in read(site, judged(config.load(site)))]
)
def test_scenario_of_an_example(rules, scenario):
    """What a newcomer copies does what it says."""
    assert play(scenario, rules.tracks(), rules.specs, rules.watch) == []


def test_every_rule_of_the_library_raises_in_some_scenario():
    """And every rule fits something there."""
    tried = {name for one in ALL for name in one.values[1].covers()}
    chosen = {name: config.load_with_library(HERE / name / "site.yaml")[1] for name in SITES}
    raised = {made.rule.name for one in chosen.values() for made in one.applied if made.alarm in tried}
    every = {rule.name for family in library.families().values() for rule in family.rules}
    assert every - raised == set()
    assert all(one.idle == [] or name == "slow" for name, one in chosen.items())
