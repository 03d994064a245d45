"""Bugs do not take the house down: named calls are guarded, named children are started again. The only broad `except`.

Guarantees
* A guarded call that raises anything but the families of `gateway.errors` yields None; the traceback is logged once per
  name until that name works again, and the name stands in `faults` (a point of the gateway's own device: a bug is an alarm).
* A kept child that ends or raises is started again with growing pauses, and works again once it ran for `SPAN_S`; a child
  that falls `LIMIT` times within `SPAN_S` raises `GaveUp`, which ends the process: systemd starts it anew, and all that
  matters is in the journal. One that alarms can do without (an uplink, the console) is tried for ever instead: its fall
  must not be the fall of those that see the fire.

It does not hide cancellation, also where what is cancelled raises at its end, and it does not decide what a caller does
instead of the failed call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.clock import Clock
from gateway.errors import BusError, ConfigError, DeliveryError, StorageError

T = TypeVar("T")
log = logging.getLogger(__name__)

LIMIT = 8
SPAN_S = 60.0
LONGEST_PAUSE_S = 15.0
_EXPECTED = (BusError, ConfigError, DeliveryError, StorageError)


class GaveUp(Exception):
    """A child fell too often. Reaction: the process exits and the service manager starts it anew."""


@dataclass
class Guard:
    """Calls whose bugs are caught, and what is broken right now."""

    faults: dict[str, str] = field(default_factory=dict)
    """Name -> the error in one line, while broken."""
    caught: int = 0

    def call(self, name: str, call: Callable[[], T]) -> T | None:
        """Return ``call()``, or None after a bug. Errors of our own families pass."""
        try:
            result = call()
        except _EXPECTED:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where a bug ends (house.md, "Who reacts to a failure")
            self.broken(name, error)
            return None
        self.works(name)
        return result

    async def wait(self, name: str, awaitable: Awaitable[T]) -> T | None:
        """Await with the same promise as `call`."""
        try:
            result = await awaitable
        except _EXPECTED as error:
            _end_if_cancelled(error)
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self.broken(name, error)
            _end_if_cancelled(error)
            return None
        self.works(name)
        return result

    def broken(self, name: str, error: Exception) -> None:
        """Note a bug; for parts whose own library swallows exceptions (protocol callbacks)."""
        self.caught += 1
        if name not in self.faults:
            log.error("bug in %s: it is taken out and tried again", name, exc_info=error)
        self.faults[name] = f"{type(error).__name__}: {error}"[:200]

    def works(self, name: str) -> None:
        if self.faults and self.faults.pop(name, None) is not None:
            log.warning("%s works again", name)

    async def keep(
        self, name: str, run: Callable[[], Awaitable[None]], clock: Clock, limit: int | None = LIMIT
    ) -> None:
        """Run a child for ever. Raises `GaveUp` when it falls `limit` times within `SPAN_S`; None: never."""
        falls: deque[float] = deque(maxlen=LIMIT)
        while True:
            well = clock.call_at(clock.monotonic() + SPAN_S, lambda: self.works(name))
            try:
                await run()
                raise RuntimeError(f"{name} ended, which it never should")
            except Exception as error:
                now = clock.monotonic()
                falls.append(now)
                if isinstance(error, _EXPECTED):
                    _end_if_cancelled(error)
                self.broken(name, error)
                _end_if_cancelled(error)
                recent = sum(1 for fall in falls if now - fall < SPAN_S)
                if limit is not None and recent >= limit:
                    raise GaveUp(f"{name} fell {recent} times within {SPAN_S:.0f} s") from error
            finally:
                well.cancel()
            await clock.sleep_until(now + min(LONGEST_PAUSE_S, 0.1 * 2.0**recent))


def _end_if_cancelled(error: Exception) -> None:
    """What was cancelled and raised `error` instead of ending ends."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error
