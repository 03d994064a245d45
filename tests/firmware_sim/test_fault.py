"""What each fault does to an answer."""

from random import Random

import pytest

from firmware_sim.fault import HEALTHY, INSTRUMENT, MODBUS, TERMINAL, Fault, What, distort, flip, in_stream, parse

ANSWER = bytes(range(10))


@pytest.mark.parametrize(
    ("fault", "pieces"),
    [
        (HEALTHY, [(0.0, ANSWER)]),
        (Fault(What.SILENT), []),
        (Fault(What.LATE, after_s=2), [(2, ANSWER)]),
        (Fault(What.SHORT), [(0.0, ANSWER[:5])]),
        (Fault(What.SHORT, keep=1), [(0.0, ANSWER[:1])]),
        (Fault(What.DOUBLE, gap_s=0.5), [(0.0, ANSWER), (0.5, ANSWER)]),
        (Fault(What.FOREIGN), [(0.0, ANSWER)]),
        (Fault(What.BABBLE), [(0.0, ANSWER)]),
    ],
)
def test_an_answer_becomes_these_pieces(fault, pieces):
    """Bytes with the pause before them."""
    assert distort(fault, ANSWER, Random(1)) == pieces


def test_slow_pauses_between_all_bytes():
    """The first byte comes when it is due, the others dribble."""
    pieces = distort(Fault(What.SLOW, pause_s=0.1), ANSWER, Random(1))
    assert b"".join(data for _, data in pieces) == ANSWER
    assert [pause for pause, _ in pieces] == [0.0] + [0.1] * 9


@pytest.mark.parametrize("bits", [1, 3, 80, 1000])
def test_garbled_flips_exactly_so_many_bits(bits):
    """And at most those that there are."""
    flipped = int.from_bytes(ANSWER) ^ int.from_bytes(flip(ANSWER, bits, Random(1)))
    assert flipped.bit_count() == min(bits, 80)


def test_a_stream_brings_echo_and_babble_before_the_answer():
    """Where there is no line that could carry them on their own."""
    assert in_stream(Fault(What.ECHO), b"ask", Random(1)) == b"ask"
    assert len(in_stream(Fault(What.BABBLE, burst=7), b"ask", Random(1))) == 7
    assert in_stream(HEALTHY, b"ask", Random(1)) == b""


def test_a_stated_fault_is_understood():
    """`what` and its parameters; the device is somebody else's."""
    assert parse({"device": "d", "what": "late", "after_s": 3}, MODBUS) == Fault(What.LATE, after_s=3)
    assert parse({"what": "none"}, TERMINAL) == HEALTHY


@pytest.mark.parametrize(
    ("said", "possible", "complaint"),
    [
        ({"what": "ill"}, MODBUS, "what: 'ill' is none of"),
        ({}, MODBUS, "what: None"),
        ({"what": "exception"}, INSTRUMENT, "exception"),
        ({"what": "echo"}, TERMINAL, "echo"),
        ({"what": "silent", "after_s": 1}, MODBUS, "silent takes nothing, not after_s"),
        ({"what": "late", "after_s": "1"}, MODBUS, "after_s: '1' is not a number"),
        ({"what": "late", "after_s": -1}, MODBUS, "at least 0"),
        ({"what": "exception", "code": 1.5}, MODBUS, "code: 1.5 is not a whole number"),
        ({"what": "garbled", "bits": True}, MODBUS, "bits: True"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(said, possible, complaint):
    """With the word that is wrong."""
    with pytest.raises(ValueError, match=complaint):
        parse(said, possible)
