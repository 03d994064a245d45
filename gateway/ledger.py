"""What goes into the alarm lane: records with the state that changed, in one commit (law 4), and who waits for it.

Guarantees
* State goes with the next commit of records; where none comes, alone and soon. With it go the clocks by which its times
  were written (`gateway.bridge`).
* Who waits is told once: when the commit is on the disk, or without it after half a second (law 5, `gateway.store.journal`).

It knows nothing of what the records say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from math import inf

from gateway.bridge import CLOCKS, clocks
from gateway.clock import Clock, Timer
from gateway.errors import StorageError
from gateway.model import Draft, Record
from gateway.store.journal import Journal

Then = Callable[[list[Record], StorageError | None], None]


class Ledger:
    """Holds the state that waits for a commit."""

    def __init__(self, alarms: Journal, clock: Clock, alone_s: float = 1.0) -> None:
        self.alone_s = alone_s
        """How long state waits for a commit of records before it is committed alone."""
        self._alarms = alarms
        self._clock = clock
        self._state: dict[str, bytes | None] = {}
        self._timer: Timer | None = None
        self._due = inf
        self._told: asyncio.Future[None] | None = None
        """Done when the latest commit of records is."""

    def under(self, prefix: str) -> dict[str, bytes]:
        """The lane's state, as committed, under the keys that begin with `prefix`; without it."""
        state = self._alarms.state()
        return {key.removeprefix(prefix): body for key, body in state.items() if key.startswith(prefix)}

    def record(self, kind: str, body: bytes) -> None:
        """An event of the gateway itself: started, clock set."""
        self.commit([Draft(kind, self._clock.monotonic(), body)])

    def commit(self, drafts: list[Draft], then: Then | None = None) -> list[Record]:
        """At once; `then` is called when it is on the disk, or announced without it."""
        told = self._told = asyncio.get_running_loop().create_future()

        def done(records: list[Record], error: StorageError | None) -> None:
            if not told.done():  # cancelled with a loop that ends
                told.set_result(None)
            if then is not None:
                then(records, error)

        return self._alarms.commit(drafts, self._take_state(), done)

    def keep(self, state: Mapping[str, bytes | None], within_s: float | None = None) -> None:
        """Save with the next commit, or alone after `within_s` (None: after `alone_s`; infinite: with the next one only)."""
        self._state.update(state)
        at = self._clock.monotonic() + (self.alone_s if within_s is None else within_s)
        if at < self._due:
            if self._timer:
                self._timer.cancel()
            self._due, self._timer = at, self._clock.call_at(at, self._commit_state)

    def settle(self) -> None:
        """Commit what is kept, if nothing else did."""
        if self._state:
            self._commit_state()

    def once_written(self, call: Callable[[], None]) -> None:
        """Call when all that was committed so far is on the disk, or announced without it: at once, where nothing waits."""
        if self._told is None or self._told.done():
            call()
        else:
            self._told.add_done_callback(lambda _: call())

    async def written(self) -> None:
        """Until all that was committed so far is on the disk, or announced without it: half a second at most (law 5)."""
        if self._told:
            await asyncio.shield(self._told)

    def _commit_state(self) -> None:
        self._alarms.commit([], self._take_state())

    def _take_state(self) -> dict[str, bytes | None]:
        """What changed since the last commit, with the clocks that it was written by."""
        if self._timer:
            self._timer.cancel()
        state, self._state, self._timer, self._due = self._state, {}, None, inf
        state[CLOCKS] = clocks(self._clock)
        return state
