"""Where people and their programs come to a running gateway: the control socket, and metrics where the site has them.

The socket stays open while the site changes: what it answers with is put anew by `renew`, between two requests.
"""

from __future__ import annotations

from pathlib import Path

from gateway import post_view
from gateway.callers import Callers
from gateway.change import Change
from gateway.changing import Changing
from gateway.control import Control, Talk, View
from gateway.crew import Crew
from gateway.metrics import Metrics
from gateway.parts import Parts


class Desk:
    def __init__(self, parts: Parts, crew: Crew) -> None:
        self._parts, self._crew = parts, crew
        self._views: dict[str, View] = {}
        self._talks: dict[str, Talk] = {}
        self._changing: Changing | None = None

    def open(self, changing: Changing) -> None:
        parts = self._parts
        self._changing = changing
        self._fill()
        control = Control(
            Path(parts.site.gateway.control_socket),
            self._views,
            parts.pipeline.command,
            parts.clock,
            parts.guard,
            parts.ledger.written,
            self._talks,
        )
        self._crew.start("control", control.run)
        self._measure()

    def renew(self, change: Change) -> None:
        """The site is another one."""
        self._fill()
        if change.metrics:
            self._crew.dismiss("metrics")
            self._measure()

    def _fill(self) -> None:
        parts = self._parts
        assert self._changing is not None
        callers = Callers(parts.site.devices, parts.listeners, parts.ledger, parts.clock)
        self._views.clear()
        self._views |= parts.views().table() | callers.views() | post_view.table(parts.post, parts.clock)
        self._views |= self._changing.views()
        self._talks.clear()
        self._talks |= parts.lending().table() | callers.talks() | self._changing.talks()

    def _measure(self) -> None:
        parts = self._parts
        if parts.site.metrics:
            metrics = Metrics(parts.site.metrics, lambda: parts.views().status(), parts.guard)
            self._crew.start("metrics", metrics.run)
