"""A key: two frames each way, and a glitch acknowledges nothing."""

import pytest

from gateway.button import Button


def presses(frames):
    """``1`` pressed, ``0`` released, ``?`` not good; where a press counted there is a ``!`` behind it."""
    button = Button()
    meant = {"1": True, "0": False, "?": None}
    return "".join(frame + "!" * button.take(meant[frame]) for frame in frames)


@pytest.mark.parametrize(
    "told",
    [
        "0011!110011!",
        "001010",  # a bit that flips
        "00100",
        "1111",  # stuck before the start
        "11110111",  # stuck, and one flipped bit
        "11110011!",  # stuck, and then released
        "001?1",  # nothing is known between
        "001?11!",
        "00?11!",
        "0?011",  # not known to be released
        "????",
    ],
)
def test_a_press_is_two_frames_after_two_of_rest(told):
    assert presses(told.replace("!", "")) == told
