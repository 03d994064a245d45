"""The decodings of registers next to what a display says."""

import struct

import pytest

from gateway.tools.guess import ORDERS, decimals, guesses


def best(words, shown):
    return guesses(100, words, float(shown), decimals(shown))[0]


@pytest.mark.parametrize(
    ("words", "shown", "said"),
    [
        ([236], "23.6", {"register": 100, "type": "int16", "scale": 0.1}),
        ([0, 236, 0], "23.6", {"register": 101, "type": "int16", "scale": 0.1}),
        ([0xFF14], "-23.6", {"register": 100, "type": "int16", "scale": 0.1}),
        ([64000], "64000", {"register": 100, "type": "uint16"}),
        ([0x0236], "23.6", {"register": 100, "type": "bcd16", "scale": 0.1}),
        ([0x0001, 0x86A0], "100000", {"register": 100, "type": "int32"}),
    ],
)
def test_the_likeliest_decoding_comes_first(words, shown, said):
    found = best(words, shown)
    assert found.at("holding") == {"table": "holding"} | said


@pytest.mark.parametrize("order", ORDERS)
def test_a_float_is_found_in_each_order(order):
    data = struct.pack(">f", 23.617)
    wire = bytes(data[place] for place in ORDERS[order])
    found = best(struct.unpack(">HH", wire), "23.6")
    assert (found.type, found.word_order, found.scale) == ("float32", order, 1.0)
    assert found.value == pytest.approx(23.617)


def test_what_is_far_from_the_display_is_not_shown():
    """Nor what is no number."""
    assert guesses(0, [7, 0x7FC0, 0], 23.6, 1) == []
