"""How an alarm stands, as the console and the outputs see it."""

from gateway.model import AlarmClass, Quality, Sample, State
from rules.engine import Engine
from rules.lifecycle import ACTIVE
from rules.spec import Above
from tests.rules.transcript import alarm, good

FIRE = alarm(Above("s/x", 5, 1), cls=AlarmClass.FIRE, latching=True)


def test_the_console_sees_state_since_truth_text_and_evidence():
    engine = Engine((FIRE,), {("s", 0): ("s/x", "s/y")}, 0.0)
    standing = engine.alarms()["fire"]
    assert (standing.spec, standing.state, standing.since, standing.truth, standing.evidence) == (
        FIRE, State.NORMAL, None, 2, None,
    )  # fmt: skip
    engine.step(good("s", 7, 0, at=1.0), 1.0)
    standing = engine.alarms()["fire"]
    assert (standing.text, standing.state, standing.since, standing.truth) == (
        ("fire报警", "fire"), State.UNACKNOWLEDGED, 1.0, 4,
    )  # fmt: skip
    assert standing.evidence == Sample("s/x", 7, Quality.GOOD, 1.0)
    assert standing.state in ACTIVE
