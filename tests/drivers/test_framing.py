"""Finding frames: a toy protocol ``<< length payload sum``, cut, glued and buried."""

from hypothesis import given
from hypothesis import strategies as st

from drivers.framing import CREDIT_FRAMES, EARNED, Framer

LONGEST = 40


def frame(payload):
    return b"<<" + bytes([len(payload) + 4]) + payload + bytes([sum(payload) & 0xFF])


def measure(data):
    if len(data) < 3:
        return 0
    return data[2] if data[2] >= 4 else -1


def sound(whole):
    return sum(whole[3:-1]) & 0xFF == whole[-1]


def framer():
    return Framer(b"<<", measure, sound, LONGEST)


def fed(chunks):
    found, one = [], framer()
    for chunk in chunks:
        found += one.feed(chunk)
        assert one.incomplete_bytes < LONGEST
    return found, one


def chunked(data, cuts):
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


FRAMES = st.lists(st.binary(max_size=LONGEST - 4).map(frame), max_size=6)
CUTS = st.lists(st.integers(0, 250), max_size=12)


@given(FRAMES, CUTS)
def test_however_the_stream_is_cut_the_frames_are_the_same(frames, cuts):
    """Split and coalesced at any place."""
    found, one = fed(chunked(b"".join(frames), cuts))
    assert found == frames
    assert (one.incomplete_bytes, one.dropped_bytes) == (0, 0)


@given(st.binary(max_size=60).filter(lambda junk: b"<" not in junk), FRAMES, CUTS)
def test_garbage_before_and_between_frames_is_dropped_and_counted(junk, frames, cuts):
    """Junk without a start mark never costs a frame."""
    found, one = fed(chunked(b"".join(junk + one for one in frames) + junk, cuts))
    assert found == frames
    assert one.dropped_bytes == len(junk) * (len(frames) + 1)


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_are_taken_and_little_of_them_is_kept(junk, cuts):
    """Nothing escapes; what is heard is sound; the memory is bounded."""
    found, one = fed(chunked(junk, cuts))
    assert all(sound(whole) for whole in found)
    assert sum(map(len, found)) + one.dropped_bytes + one.incomplete_bytes == len(junk)


def test_a_damaged_frame_does_not_swallow_the_next():
    """Its sum is wrong: the search goes on one byte later."""
    damaged = bytearray(frame(b"abc"))
    damaged[4] ^= 1
    assert fed([bytes(damaged) + frame(b"next")])[0] == [frame(b"next")]


def test_a_frame_inside_a_damaged_frame_is_found():
    """A length that grew swallows the next frame until its sum fails."""
    grown = bytearray(frame(b"abc"))
    grown[2] += 7
    assert fed([bytes(grown) + frame(b"next")])[0] == [frame(b"next")]


def test_a_length_beyond_the_longest_is_no_frame():
    """It would be waited for without end."""
    assert fed([b"<<\xff" + frame(b"next")])[0] == [frame(b"next")]


def test_giving_up_finds_what_stands_behind_a_false_start():
    """A start with a length that never comes, then a whole frame."""
    found, one = fed([b"<<\x27" + frame(b"next")])
    assert found == []
    assert one.give_up() == [frame(b"next")]
    assert one.incomplete_bytes == 0


def test_giving_up_on_half_a_frame_leaves_nothing():
    """The rest of it is then garbage, and the next frame is found."""
    _, one = fed([frame(b"abcdef")[:5]])
    assert one.give_up() == []
    assert one.feed(frame(b"abcdef")[5:] + frame(b"next")) == [frame(b"next")]


def test_bytes_made_of_lies_cost_no_more_than_their_number():
    """A start at every few bytes, each with the longest length: what is checked in vain stays in proportion."""
    checked = 0

    def never(whole):
        nonlocal checked
        checked += len(whole)
        return False

    one = Framer(b"<<", measure, never, LONGEST)
    lies, fed_bytes = (b"<<" + bytes([LONGEST]) + b"..") * 100, 0
    for _ in range(100):
        one.feed(lies)
        fed_bytes += len(lies)
        assert checked <= EARNED * fed_bytes + (CREDIT_FRAMES + 1) * LONGEST
    one._sound = sound
    assert one.feed(bytes(LONGEST) + frame(b"true")) == [frame(b"true")]
