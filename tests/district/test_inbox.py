"""Alarms first, acknowledgements in order, memory bounded."""

import asyncio

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from district import inbox as module
from district.inbox import Inbox
from tests import brokers


def message(mid, leaf="telemetry", body=b"", **attributes):
    return aiomqtt.Message(f"gengfu/v1/demo-01/{leaf}", body, 1, False, mid, brokers.user_properties(**attributes))


async def test_alarms_overtake_and_acknowledgements_do_not():
    """Stored first, but a PUBACK waits for those of the messages before it."""
    inbox = Inbox()
    for each in (message(1), message(2, "status"), message(3, "alarm"), message(4)):
        inbox.put_nowait(each)
    taken = [await inbox.get() for _ in range(4)]
    assert [each.mid for each in taken] == [3, 1, 2, 4]
    assert inbox.stored(taken[:1]) == []
    assert [each.mid for each in inbox.stored(taken[1:3])] == [1, 2, 3]
    assert [each.mid for each in inbox.stored(taken[3:])] == [4]


async def test_get_waits_for_a_message():
    """And takes it from the one who comes."""
    inbox = Inbox()
    waiting = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put_nowait(message(7))
    assert (await waiting).mid == 7
    assert inbox.qsize() == 0


@pytest.mark.parametrize(("name", "limit"), [("MOST_MESSAGES", 2), ("MOST_BYTES", 9_000)])
async def test_after_an_overrun_nothing_more_is_taken(monkeypatch, name, limit):
    """Else a later message would be acknowledged and stored before one that the broker has to deliver again."""
    monkeypatch.setattr(module, name, limit)
    inbox = Inbox()
    for mid in (1, 2):
        inbox.put_nowait(message(mid, body=bytes(2_000), key="x" * 2_000))
    with pytest.raises(asyncio.QueueFull):
        inbox.put_nowait(message(3))
    assert inbox.overrun
    inbox.stored([inbox.get_nowait(), inbox.get_nowait()])
    with pytest.raises(asyncio.QueueFull):
        inbox.put_nowait(message(4, "alarm"))


async def test_attributes_count_as_memory():
    """Many small ones are large."""
    assert module.size_bytes(message(1, **{f"k{n}": "" for n in range(1_000)})) > 200_000


@given(st.lists(st.sampled_from(["alarm", "telemetry"]), max_size=30), st.randoms(use_true_random=False))
def test_every_message_is_acknowledged_once_and_in_order(leaves, chance):
    """In whatever portions they are stored; at the end nothing is held."""
    inbox = Inbox()
    for mid, leaf in enumerate(leaves):
        inbox.put_nowait(message(mid, leaf))
    taken = [inbox.get_nowait() for _ in leaves]
    acknowledged = []
    while taken:
        size = chance.randint(1, 5)
        acknowledged += [each.mid for each in inbox.stored(taken[:size])]
        taken = taken[size:]
    assert acknowledged == list(range(len(leaves)))
    assert (inbox._bytes, inbox._stored, inbox.qsize()) == (0, set(), 0)
