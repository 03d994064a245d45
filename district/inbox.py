"""What the broker has delivered and the disk does not have yet: alarms first, bounded, acknowledged in order.

Guarantees
* An alarm overtakes all telemetry that waits here: a backlog of hundreds of gateways does not delay it.
* PUBACKs go out in the order of the deliveries, as MQTT 5 (4.6) wants it, whatever was stored first.
* At most `MOST_BYTES` and `MOST_MESSAGES` are held. What is beyond is not taken, and nothing after it either, until
  the session is begun anew: the broker has it all still, since it was not acknowledged, and delivers it again in order.

mosquitto 2.0.11 (Debian 12) keeps to the Receive Maximum only until the first PUBACK, so the window alone is no bound.
It is the queue that aiomqtt asks for (`put_nowait`, `get`, `qsize`), used from the event loop only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import aiomqtt

MOST_BYTES = 64 * 1024 * 1024
MOST_MESSAGES = 20_000
_OBJECT_BYTES = 1_000
_PAIR_BYTES = 200


class Inbox:
    """One session's messages; made anew with each session."""

    def __init__(self) -> None:
        self.overrun = False
        """Something was not taken: begin a new session once this one is worked off."""
        self._alarms: deque[aiomqtt.Message] = deque()
        self._others: deque[aiomqtt.Message] = deque()
        self._order: deque[aiomqtt.Message] = deque()
        self._stored: set[int] = set()
        self._bytes = 0
        self._arrived = asyncio.Event()

    def put_nowait(self, message: aiomqtt.Message) -> None:
        """Raises QueueFull, upon which aiomqtt drops the message without acknowledging it."""
        if self.overrun or self._bytes >= MOST_BYTES or len(self._order) >= MOST_MESSAGES:
            self.overrun = True
            raise asyncio.QueueFull
        self._bytes += size_bytes(message)
        self._order.append(message)
        (self._alarms if message.topic.value.endswith("/alarm") else self._others).append(message)
        self._arrived.set()

    async def get(self) -> aiomqtt.Message:
        while not self.qsize():
            self._arrived.clear()
            await self._arrived.wait()
        return self.get_nowait()

    def get_nowait(self) -> aiomqtt.Message:
        """Raises IndexError when there is none."""
        return self._alarms.popleft() if self._alarms else self._others.popleft()

    def qsize(self) -> int:
        return len(self._alarms) + len(self._others)

    def stored(self, messages: Iterable[aiomqtt.Message]) -> list[aiomqtt.Message]:
        """These are on the disk; returns what may be acknowledged now, in the order of the deliveries."""
        self._stored.update(map(id, messages))
        ready = []
        while self._order and id(self._order[0]) in self._stored:
            message = self._order.popleft()
            self._stored.remove(id(message))
            self._bytes -= size_bytes(message)
            ready.append(message)
        return ready


def size_bytes(message: aiomqtt.Message) -> int:
    """About what a message holds in memory."""
    pairs = getattr(message.properties, "UserProperty", ())
    return _OBJECT_BYTES + len(bytes(message.payload)) + sum(_PAIR_BYTES + len(k) + len(v) for k, v in pairs)
