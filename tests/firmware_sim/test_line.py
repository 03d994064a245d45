"""The line in virtual time: every byte comes when the wire says so, and every broken rule is written down."""

import pytest

from firmware_sim.line import Timing

CHAR_S = 10 / 9600
SILENCE_S = 3.5 * CHAR_S
READ_1 = bytes.fromhex("010300000002C40B")
READ_2 = bytes.fromhex("020300000002C438")
ANSWER_1 = bytes.fromhex("01030400150000EBF7")
READ_DOOR = bytes.fromhex("03020000000339E9")
READ_NOBODY = bytes.fromhex("0A03000000018571")
READ_TILT = bytes.fromhex("770500000409")
ANSWER_TILT = bytes.fromhex("771100008400020130100051200000000049")


def ask(line, at, request):
    """The master sends at `at`; what it had received until then."""
    received = line.step(at)
    line.receive(at, request)
    return received


def run(line, until):
    """Let time pass; every arrival as (time, bytes)."""
    arrivals = []
    while (at := line.wake_at()) <= until:
        if block := line.step(at):
            arrivals.append((at, block))
    return arrivals


def received(arrivals):
    return b"".join(block for _, block in arrivals)


def test_request_silence_and_answer_take_their_time(line):
    """8 characters, then the response time (5 ms, longer than 3.5 characters), then 9 characters, in blocks of 8."""
    ask(line, 100.0, READ_1)
    arrivals = run(line, 101.0)
    begin = 100.0 + 8 * CHAR_S + 0.005
    assert received(arrivals) == ANSWER_1
    assert [len(block) for _, block in arrivals] == [8, 1]
    assert arrivals[0][0] == pytest.approx(begin + 8 * CHAR_S, abs=1e-6)
    assert arrivals[1][0] == pytest.approx(begin + 9 * CHAR_S, abs=1e-6)


def test_no_byte_arrives_early(line):
    """One microsecond before its time there is nothing."""
    ask(line, 100.0, READ_1)
    end = 100.0 + 17 * CHAR_S + 0.005
    before = line.step(end - 1e-5)
    assert before == ANSWER_1[:8]
    assert line.step(end + 1e-6) == ANSWER_1[8:]


def test_the_answer_is_logged_when_it_is_complete(line, world):
    """With the values that it carried, and the time of its last byte."""
    ask(line, 100.0, READ_1)
    run(line, 101.0)
    (entry,) = world.entries("answer")
    assert entry["device"] == "smoke-1"
    assert entry["points"] == {"density": 0.21, "alarm": 0, "fault": 0}
    assert entry["mono"] == pytest.approx(100.0 + 17 * CHAR_S + 0.005, abs=1e-5)


def test_several_protocols_share_the_line(line):
    """Modbus slaves, discrete inputs and the inclinometer, one after the other."""
    ask(line, 1.0, READ_TILT)
    assert received(run(line, 2.0)) == ANSWER_TILT
    ask(line, 2.0, READ_1)
    assert received(run(line, 3.0)) == ANSWER_1
    ask(line, 3.0, READ_DOOR)
    assert received(run(line, 4.0))[:4].hex() == "03020102"


def test_an_address_that_nobody_has_stays_unanswered(line, world):
    """A sound request for somebody else is no mistake."""
    ask(line, 1.0, READ_NOBODY)
    assert run(line, 2.0) == []
    assert world.entries("bad_request") == []


def test_a_request_in_two_pieces_without_a_pause_is_one_request(line):
    """The second piece begins while the first is still being sent."""
    ask(line, 1.0, READ_1[:4])
    ask(line, 1.0 + 2 * CHAR_S, READ_1[4:])
    assert received(run(line, 2.0)) == ANSWER_1


def test_a_request_torn_by_a_pause_is_not_answered(line, world):
    """More than 3.5 characters of silence end a frame; what is left on both sides is nobody's."""
    ask(line, 1.0, READ_1[:4])
    torn = ask(line, 1.0 + 4 * CHAR_S + SILENCE_S + 0.001, READ_1[4:])
    assert torn + received(run(line, 2.0)) == b""
    assert [entry["why"] for entry in world.entries("bad_request")] == ["unreadable", "gap"]
    assert world.entries("bad_request")[1]["request"] == READ_1.hex()


@pytest.mark.parametrize(("after_s", "answered"), [(SILENCE_S - 0.0002, False), (SILENCE_S, True)])
def test_a_request_must_leave_the_line_silent_first(line, world, after_s, answered):
    """3.5 characters after the last byte of the answer; a request that comes earlier is logged and lost."""
    ask(line, 1.0, READ_1)
    end = 1.0 + 17 * CHAR_S + 0.005
    first = ask(line, end + after_s, READ_2)
    assert first == ANSWER_1
    second = received(run(line, 2.0))
    assert bool(second) is answered
    assert [entry["why"] for entry in world.entries("bad_request")] == ([] if answered else ["too_early"])


def test_a_request_into_the_answer_is_too_early(line, world):
    """The answer goes on; the request is lost."""
    ask(line, 1.0, READ_1)
    first = ask(line, 1.0 + 12 * CHAR_S + 0.005, READ_2)
    assert first + received(run(line, 2.0)) == ANSWER_1
    (entry,) = world.entries("bad_request")
    assert entry["why"] == "too_early"
    assert entry["early_s"] == pytest.approx(5 * CHAR_S + SILENCE_S, abs=1e-5)


def test_after_an_unreadable_request_the_line_works_again(line, world):
    """Wrong CRC: silence and an entry; the next request is answered."""
    ask(line, 1.0, READ_1[:-1] + b"\0")
    assert run(line, 2.0) == []
    assert [entry["why"] for entry in world.entries("bad_request")] == ["unreadable"]
    ask(line, 2.0, READ_1)
    assert received(run(line, 3.0)) == ANSWER_1


def answer_under(line, world, at=1.0, **fault):
    """What arrives in the ten seconds after a read of smoke-1 under a fault."""
    world.field.set_fault({"device": "smoke-1", **fault})
    ask(line, at, READ_1)
    return run(line, at + 10)


def test_silent(line, world):
    """Nothing comes, and the log says that it would have."""
    assert answer_under(line, world, what="silent") == []
    assert [entry["fault"] for entry in world.entries("spoilt_answer")] == ["silent"]
    assert world.entries("answer") == []


def test_late(line, world):
    """The right answer, seconds later; by then it may be taken for another request's."""
    arrivals = answer_under(line, world, what="late", after_s=2)
    assert received(arrivals) == ANSWER_1
    assert arrivals[0][0] == pytest.approx(1.0 + 8 * CHAR_S + 0.005 + 2 + 8 * CHAR_S, abs=1e-6)


def test_a_late_answer_comes_before_the_one_that_is_now_expected(line, world):
    """The worst case: clean, of the same shape, and right after the next request."""
    world.field.set_fault({"device": "smoke-1", "what": "late", "after_s": 1})
    ask(line, 1.0, READ_1)
    run(line, 1.1)
    world.field.set_fault({"device": "smoke-1", "what": "none"})
    world.field.set({"smoke-1/density": 7.5})
    run(line, 1.99)
    ask(line, 2.005, READ_1)
    both = received(run(line, 3.0))
    assert both[:9] == ANSWER_1
    assert both[9:14].hex() == "01030402ee"


def test_short(line, world):
    """Half of it, and never the rest."""
    assert received(answer_under(line, world, what="short")) == ANSWER_1[:4]
    assert received(answer_under(line, world, at=20.0, what="short", keep=0)) == b""
    assert [entry["fault"] for entry in world.entries("spoilt_answer")] == ["short", "short"]
    assert received(answer_under(line, world, at=40.0, what="none")) == ANSWER_1


def test_garbled(line, world):
    """As long as it should be, one bit wrong."""
    wrong = int.from_bytes(received(answer_under(line, world, what="garbled"))) ^ int.from_bytes(ANSWER_1)
    assert wrong.bit_count() == 1


def test_foreign(line, world):
    """A sound answer that names another device."""
    assert received(answer_under(line, world, what="foreign"))[0] == 2


def test_exception(line, world):
    """A sound refusal."""
    assert received(answer_under(line, world, what="exception", code=6))[:3].hex() == "018306"


def test_double(line, world):
    """The same twice, with a pause."""
    arrivals = answer_under(line, world, what="double", gap_s=0.5)
    assert received(arrivals) == 2 * ANSWER_1
    assert arrivals[2][0] - arrivals[1][0] == pytest.approx(0.5 + 8 * CHAR_S, abs=1e-6)
    assert len(world.entries("answer")) == 1


def test_slow(line, world):
    """Byte by byte with pauses, one answer."""
    arrivals = answer_under(line, world, what="slow", pause_s=0.05)
    assert [block for _, block in arrivals] == [bytes([byte]) for byte in ANSWER_1]
    assert arrivals[1][0] - arrivals[0][0] == pytest.approx(0.05 + CHAR_S, abs=1e-6)
    assert len(world.entries("answer")) == 1


def test_echo_returns_the_request_first(line, world):
    """As an adapter does that listens to itself."""
    assert received(answer_under(line, world, what="echo")) == READ_1 + ANSWER_1


def test_babble_speaks_unasked(line, world):
    """Bursts without a request, and the true answer somewhere between them."""
    world.field.set_fault({"device": "smoke-2", "what": "babble", "every_s": 0.1, "burst": 5})
    line.step(1.0)
    noise = run(line, 1.95)
    assert len(received(noise)) == pytest.approx(50, abs=5)
    ask(line, 1.97, READ_1)
    assert ANSWER_1 in received(run(line, 2.5))


def test_a_request_that_meets_noise_is_a_collision_and_not_the_masters_fault(line, world):
    """It is lost all the same."""
    world.field.set_fault({"device": "smoke-2", "what": "babble", "every_s": 10, "burst": 20})
    line.step(1.0)
    ask(line, 1.01, READ_1)
    assert [entry["why"] for entry in world.entries("bad_request")] == ["collision"]
    assert ANSWER_1 not in received(run(line, 2.0))


def test_none_heals(line, world):
    """One good answer after each fault."""
    for at, what in enumerate(
        ("silent", "late", "short", "garbled", "foreign", "exception", "double", "slow", "echo", "babble")
    ):
        answer_under(line, world, at=20.0 * at + 1, what=what)
        assert received(answer_under(line, world, at=20.0 * at + 15, what="none")) == ANSWER_1, what


def test_a_device_that_is_ill_leaves_the_others_well(line, world):
    """Silence of one is not silence of the line."""
    world.field.set_fault({"device": "smoke-1", "what": "silent"})
    ask(line, 1.0, READ_2)
    assert received(run(line, 2.0))[:3].hex() == "020304"


@pytest.mark.parametrize(
    ("baud", "parity", "stop_bits", "character_s", "silence_s"),
    [
        (9600, "N", 1, 10 / 9600, 35 / 9600),
        (9600, "E", 1, 11 / 9600, 38.5 / 9600),
        (19200, "N", 2, 11 / 19200, 38.5 / 19200),
        (115200, "N", 1, 10 / 115200, 0.00175),
    ],
)
def test_the_lines_settings_make_its_timing(baud, parity, stop_bits, character_s, silence_s):
    """Start, data, parity and stop bits; 1.75 ms of silence above 19200 baud."""
    timing = Timing.of(baud, parity, stop_bits)
    assert timing.character_s == pytest.approx(character_s)
    assert timing.silence_s == pytest.approx(silence_s)
