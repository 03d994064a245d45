"""The simulated centre and the simulated transmission device against each other: neither shares code with the gateway."""

from firmware_sim.centre import Centre, Mood
from firmware_sim.uitd import FIRE, Part, Uitd

SMOKE = Part(40, bytes.fromhex("0a000200"), "烟感")
CALL_POINT = Part(23, bytes.fromhex("0b000200"), "按钮")
TANK = (11, 1, bytes.fromhex("07000000"), 5)


def pair(**more):
    return Centre(88888), Uitd(889, 88888, (SMOKE, CALL_POINT), **more)


def talk(centre, uitd, until, now=0.0, said=b""):
    """Both sides, half a second at a time; `said` is what the centre says first."""
    while True:
        out = (uitd.receive(said, now) if said else b"") + uitd.step(now)
        said = centre.receive(out, now) if out else b""
        if not said and not out:
            now += 0.5
            if now >= until:
                return


def test_an_upload_is_taken_once_and_confirmed():
    """In the order of the device."""
    centre, uitd = pair()
    uitd.change(SMOKE, FIRE)
    uitd.change(CALL_POINT, 1)
    talk(centre, uitd, 1.0)
    assert [one.data for one in centre.uploads] == uitd.delivered
    assert [one.data[5:9] for one in centre.uploads] == [SMOKE.address, CALL_POINT.address]


def test_a_denied_upload_comes_four_times_at_once():
    """And is given up."""
    centre, uitd = pair()
    centre.mood = Mood.DENY
    uitd.change(SMOKE, FIRE)
    talk(centre, uitd, 1.0)
    assert (centre.frames, len(centre.uploads), len(uitd.failed)) == (4, 1, 1)


def test_a_silent_centre_is_told_four_times_in_forty_seconds():
    """10 s between two."""
    centre, uitd = pair()
    centre.mood = Mood.SILENT
    uitd.change(SMOKE, FIRE)
    talk(centre, uitd, 39.0)
    assert (centre.frames, len(uitd.failed)) == (4, 0)
    talk(centre, uitd, 41.0, 39.0)
    assert len(uitd.failed) == 1


def test_everything_that_can_be_asked_is_answered():
    """State of the device, a system, a part, a value; an unknown part is denied."""
    centre, uitd = pair()
    uitd.values[TANK] = 3520
    questions = (
        centre.read_own(889, 0.0),
        centre.read_system(889, 1, 1, 0.0),
        centre.read_component(889, 1, 1, SMOKE.address, 0.0),
        centre.read_value(889, 11, 1, TANK[2], 0.0),
        centre.read_component(889, 1, 1, bytes(4), 0.0),
    )
    for question in questions:
        centre.receive(uitd.receive(question, 0.0), 0.0)
    answers = list(centre.asked.values())
    assert [one.answer for one in answers] == [5, 5, 5, 5, 6]
    assert [one.answer_data[:1] for one in answers] == [b"\x15", b"\1", b"\2", b"\3", b""]


def test_a_duty_check_is_confirmed_at_once_and_answered_by_the_operator():
    """And a clock is set."""
    centre, uitd = pair(operator=7, duty_after_s=30.0)
    talk(centre, uitd, 60.0, 0.0, centre.check_duty(889, 10, 0.0) + centre.set_clock(889, bytes(6), 0.0))
    assert [one.answer for one in centre.asked.values()] == [3, 3]
    assert centre.duty_answers() == [(889, 7, 30.0)]
    assert uitd.clocks == [bytes(6)]


def test_damage_is_denied_and_repeated():
    """A flipped bit costs no ten seconds."""
    centre, uitd = pair()
    uitd.change(SMOKE, FIRE)
    frame = bytearray(uitd.step(0.0))
    frame[40] ^= 1
    again = uitd.receive(centre.receive(bytes(frame), 0.0), 0.1)
    centre.receive(again, 0.2)
    assert (centre.damaged, len(centre.uploads)) == (1, 1)
