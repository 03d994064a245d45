"""What the gateway encodes is what the district, written from the reference alone, understands."""

import pytest

from district import content
from district.record import digest_holds, parse
from gateway.model import Draft, Lane
from gateway.store import seal
from gateway.wire import kinds, payloads


def sent(lane, kind, body, sequence=7, wall=1_795_306_831.1234567, follows=None, **changes):
    """A record as the journal seals it and the uplink publishes it, as the district reads it."""
    scribe = seal.Scribe("demo-01", lane, "3f9a2c11", "7be0", "0123456789abcdef" * 2)
    record = seal.seal(scribe, Draft(kind, 1234.5678905, body), sequence, wall, True, seal.ZERO)
    message = payloads.encode(record, "demo-01", {}, follows)
    return parse(message.topic, message.content_type, message.properties, message.body)


@pytest.mark.parametrize("wall", [0.0, 0.5, 1_795_306_831.0, 1_795_306_831.9999995, 2_147_483_648.000001, 1e10 / 3])
def test_every_alarm_record_passes_and_its_digest_holds(wall):
    """Whatever the fraction of the second is: both sides hash the same digits."""
    record = sent(Lane.ALARM, payloads.RUN, payloads.run("0.1.0", None, [], [], None), wall=wall)
    assert digest_holds(record)
    assert record.previous == seal.ZERO


def test_gap_records_and_follows_are_understood():
    """Of both lanes."""
    record = sent(Lane.TELEMETRY, payloads.TELEMETRY_GAP, payloads.gap(1, 6, 3, "quota"), follows=4)
    assert record.follows == 4
    assert content.read_gap(record) == (1, 6, 3, "quota")
    record = sent(Lane.ALARM, payloads.EVENT_GAP, payloads.gap(2, 5, 4, "fold"))
    assert content.read_gap(record) == (2, 5, 4, "fold")


def test_a_clock_mapping_is_understood():
    """Numbers as they are."""
    body = payloads.clock("b" * 32, 12.5, 1_795_306_831.25)
    assert content.read_clock(sent(Lane.ALARM, payloads.CLOCK, body)) == ("b" * 32, 12.5, 1_795_306_831.25)


def test_a_transition_with_its_evidence_is_understood():
    """The example of the reference, which is what the encoder gives (`tests/gateway/wire/test_alarm`)."""
    told = content.read_transition(sent(Lane.ALARM, payloads.TRANSITION, kinds.TRANSITION_EXAMPLE.encode()))
    assert (told.alarm, told.state, told.active) == ("fire-1203", "unacknowledged", True)
