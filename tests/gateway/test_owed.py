"""What a lane owes its uplinks: pure bookkeeping over the numbers that were given."""

import json

import pytest

from gateway.model import Draft, Lane
from gateway.store.book import Book
from gateway.store.content import Birth, Content
from gateway.store.owed import Owed
from gateway.store.ranges import Ranges
from gateway.store.tail import Tail
from tests.clocks import HandClock


class Lender:
    """A lane in which so many records were given, all of them on the disk."""

    def __init__(self, lane, last, *, seen=True):
        self.gaps = []
        content = Content(fresh=False, first=1, last=last) if seen else None
        self.book = Book(Birth("g", lane.value, "j1", "b" * 32), "r1", HandClock())
        self.book.segments = [(1, "j1")]
        self.book.enter([Draft("k", 0.0, b"{}")] * last)
        self.owed = Owed(lane, self.book, Tail(last, 1 << 20), self.tell, content)

    def tell(self, body, drop, then):
        gap = json.loads(body)
        self.gaps.append((gap["first"], gap["last"], gap["dropped"], gap["reason"], drop.gone if drop else ()))


@pytest.fixture(params=list(Lane))
def lender(request):
    return Lender(request.param, 10)


def test_what_can_never_be_given_is_counted_and_told_once(lender):
    """In one gap record, however many pieces it has; each of them goes with it."""
    lender.owed.account([(2, 3), (6, 6)], "corrupt")
    lender.owed.account([(3, 3), (6, 6)], "corrupt")
    assert lender.gaps == [(2, 6, 3, "corrupt", ((2, 3), (6, 6)))]
    assert lender.owed.dropped == {"corrupt": 3}


def test_what_is_gone_is_missed_by_nobody(lender):
    """Neither by the uplink that is behind, nor by one that comes later."""
    assert lender.owed.backlog("a") == 10
    lender.owed.account([(1, 4)], "lost")
    assert lender.owed.backlog("a") == lender.owed.backlog("b") == 6
    assert lender.owed.settled("a").head() == lender.owed.settled("b").head() == 4


def test_what_left_the_memory_is_told_when_the_disk_works_again(lender):
    records = lender.book.enter([Draft("k", 0.0, b"{}")] * 2)
    lender.owed.lost(records)
    assert lender.gaps == []
    lender.owed.tell_lost()
    lender.owed.tell_lost()
    assert lender.gaps == [(11, 12, 2, "memory", ((11, 12),))]


def test_settled_records_go_without_a_word(lender):
    lender.owed.settle_to("a", 5)
    lender.owed.forget([(1, 5)], "settled")
    assert lender.gaps == []
    assert lender.owed.dropped == {"settled": 5}
    assert lender.owed.backlog("a") == 5


def test_how_full_a_lane_is_goes_by_what_somebody_still_wants(lender):
    """Of the ten on the disk two are gone; of the eight left one uplink wants four."""
    lender.owed.settle_to("a", 10)
    assert lender.owed.share() == 0.0
    lender.owed.forget([(1, 2)])
    lender.owed.settle("b", [3, 4, 5, 6])
    assert lender.owed.share() == pytest.approx(0.5)


def test_a_new_uplink_of_alarms_does_not_wait_for_what_is_gone_in_between():
    """Alarms are settled one by one, telemetry by a position that bridges nothing but two journals."""
    alarms, telemetry = Lender(Lane.ALARM, 10), Lender(Lane.TELEMETRY, 10)
    for lender in (alarms, telemetry):
        lender.owed.forget([(4, 5)])
    assert alarms.owed.settled("a").pairs() == ((0, 0), (4, 5))
    assert telemetry.owed.settled("a").pairs() == ((0, 0),)


def test_a_file_that_comes_back_brings_what_it_knows():
    """And what lies between its records and ours will never come."""
    lender = Lender(Lane.ALARM, 7, seen=False)
    lender.book.enter([Draft("k", 0.0, b"{}")] * 3)
    lender.owed.settle("a", [9])
    content = Content(fresh=False, first=3, last=5, uplinks={"a": Ranges([(0, 4)])}, gone=Ranges([(1, 2)]))
    lender.owed.meet(content, (6, 7))
    assert lender.owed.settled("a").pairs() == ((0, 4), (6, 7), (9, 9))
    assert lender.owed.backlog("a") == 3
