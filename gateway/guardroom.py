"""The built-in device `site` at work: what people set and what zones say goes into `rules.post`, what follows goes on its way.

Guarantees
* What must survive a restart is kept with the record of the command that changed it, or with the transitions that follow
  from it: one commit (law 4), at once.
* The device is told at each change, and once a second: nothing clears on one scan. Delays end also when every bus is dead.

It holds the one timer of guard level and partitions; what they mean is `rules.post`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from gateway.clock import Clock, Timer, housekeeping
from gateway.model import Command, Scan, Text
from gateway.restart import Guard
from rules.post import Post

STATE = "post/"
"""Prefix of its state in the alarm lane; see `gateway.parts` for how it is restored."""
BUG = Text("内部错误，已记录", "internal error, logged")


@dataclass(frozen=True, slots=True)
class Ways:
    """Where things go: the pipeline's own doors."""

    take: Callable[[Scan], None]
    keep: Callable[[Mapping[str, bytes | None]], None]
    """State that goes with the next commit."""
    settle: Callable[[], None]
    """Commit what is kept, if nothing else did."""


class Guardroom:
    def __init__(self, post: Post, clock: Clock, guard: Guard, ways: Ways) -> None:
        self._post, self._clock, self._guard, self._ways = post, clock, guard, ways
        self._timer: Timer | None = None
        self.watched = post.watched
        """Groups that have a zone: only their scans need to come here."""

    def hear(self, scan: Scan) -> None:
        """A zone was read. The rules must see what follows before they see the scan itself: an entry delay before the open
        door. A bug in here keeps no scan from them."""
        self._guard.call("site", partial(self._hear, scan))

    def _hear(self, scan: Scan) -> None:
        if self._post.take(scan, self._clock.monotonic()):
            self.tell()

    def obey(self, command: Command) -> Text | None:
        """What a person sets, or why not. Its record is to be committed next, and then `tell`."""
        answer = self._guard.call("site", lambda: (self._post.obey(command, self._clock.monotonic()),))
        self.keep()
        return BUG if answer is None else answer[0]

    def tell(self) -> None:
        """The device as it is now, to everybody."""
        changed = self.keep()
        now = self._clock.monotonic()
        self._ways.take(self._post.scan(now))
        if changed:
            self._ways.settle()
        self.close()
        self._timer = self._clock.call_at(min(self._post.due, housekeeping(now)), self.wake)

    def wake(self) -> None:
        """A delay may have ended; or the first time."""
        self._guard.call("site", lambda: self._post.wake(self._clock.monotonic()))
        self.tell()

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def keep(self) -> bool:
        """What changed goes with the next commit. Whether there was anything."""
        changed, self._post.changed = self._post.changed, {}
        self._ways.keep({STATE + name: body for name, body in changed.items()})
        return bool(changed)
