"""One way to one district: a connection after the other, for as long as the gateway lives. There is no offline mode.

Guarantees
* What is sent, again, and settled is `gateway.link.outbox`'s; here is only when there is a connection.
* A broker that does not acknowledge in time is left for a new connection; so is a link that breaks. Connections are
  tried for ever, with back-off and full jitter; a refusal (certificate, key, name, permission) is shown as such.
* Birth and will on the status topic; at the end it says good-bye within `FAREWELL_S`.

It logs when the link fails and when it is back, a flapping one once in `QUIET_S`; the rest is counted in `status`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from gateway import retry
from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.link import mqtt
from gateway.link.feed import Store
from gateway.link.outbox import PUBACK_S, Outbox
from gateway.model import Record, UplinkSpec
from gateway.wire import pack, payloads

log = logging.getLogger(__name__)

FAREWELL_S = 4.0
STEADY_S = 30.0
"""A connection that held this long was a good one: the back-off starts anew."""
QUIET_S = 300.0


class Uplink:
    """One object per `UplinkSpec`."""

    def __init__(
        self,
        spec: UplinkSpec,
        gateway: str,
        clock: Clock,
        alarms: Store,
        telemetry: Store,
        layouts: Mapping[int, pack.Layout],
        random: Callable[[], float],
        connect: mqtt.Connect = mqtt.connect,
        on_stage: Callable[[Record, str], None] = lambda record, stage: None,
        *,
        version: str = "",
        run: str = "",
        simulated: bool = False,
        puback_s: float = PUBACK_S,
    ) -> None:
        """`random`: uniform in [0, 1). `on_stage` is told when an alarm reached the ``broker`` or the ``district``."""
        self._spec, self._gateway, self._clock = spec, gateway, clock
        self._random, self._connect = random, connect
        self._birth = {"version": version, "boot": clock.boot, "run": run, "simulated": simulated}
        self._awake = asyncio.Event()
        self._outbox = Outbox(spec, gateway, clock, alarms, telemetry, layouts, on_stage, self._awake.set, puback_s)
        self._session: mqtt.Session | None = None
        self._since = clock.wall()
        self._error: LinkError | None = None
        self._failures = 0
        self._logged_up_at = float("-inf")
        self._logged_down = False

    async def run(self) -> None:
        """For ever. Link and delivery errors are handled here; anything else is a bug and goes up."""
        worked_at = self._clock.monotonic()
        try:
            while True:
                began = self._clock.monotonic()
                try:
                    await self._one_connection()
                except LinkError as error:
                    self._down(error)
                now = self._clock.monotonic()
                if now - began >= STEADY_S:
                    self._failures, worked_at = 0, now
                self._failures += 1
                wait_s = retry.delay_s(self._failures, self._random(), now - worked_at)
                await self._clock.sleep_until(now + wait_s)
        finally:
            self._outbox.close()

    async def _one_connection(self) -> None:
        receipts = payloads.topic(self._gateway, "receipt") if self._spec.receipts else ""
        name = f"{self._gateway}-{self._spec.id}"
        began = self._clock.wall()
        dial = mqtt.Dial(self._spec, name, self._status_message(False, began), receipts, self._awake.set, self._clock)
        session = await self._connect(dial)
        try:
            self._up(session)
            self._outbox.sent(session.publish(self._status_message(True, began), retain=True))
            await self._serve(session)
        except asyncio.CancelledError:
            await self._farewell(session)
            raise
        finally:
            self._session = None
            session.close()

    async def _serve(self, session: mqtt.Session) -> None:
        while True:
            self._awake.clear()
            self._outbox.hear(session)
            timer = self._clock.call_at(self._outbox.pump(session), self._awake.set)
            try:
                await self._awake.wait()
            finally:
                timer.cancel()

    def _up(self, session: mqtt.Session) -> None:
        now = self._clock.monotonic()
        if now - self._logged_up_at >= QUIET_S:
            log.info("uplink %s: connected (%s)", self._spec.id, session.tls)
            self._logged_up_at, self._logged_down = now, False
        self._session, self._error, self._since = session, None, self._clock.wall()
        self._outbox.counters["connected"] += 1
        self._outbox.restart()

    def _down(self, error: LinkError) -> None:
        if not self._logged_down:
            log.warning("uplink %s: no connection: %s", self._spec.id, error)
            self._logged_down = True
        if self._error is None:
            self._since = self._clock.wall()
        self._error = error
        self._outbox.counters["link_refused" if error.refused else "link_failed"] += 1

    async def _farewell(self, session: mqtt.Session) -> None:
        """Our own ``offline``, since a good-bye keeps the broker from publishing the will."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._hear_until(session, lambda: len(self._outbox.in_flight) < session.receive_maximum)
                mid = session.publish(self._status_message(False, self._clock.wall()), retain=True)
                self._outbox.sent(mid)
                await self._hear_until(session, lambda: mid not in self._outbox.in_flight)
                await session.leave()
        except (TimeoutError, LinkError) as error:
            log.info("uplink %s: left without good-bye: %s", self._spec.id, str(error) or "no answer")

    async def _hear_until(self, session: mqtt.Session, done: Callable[[], bool]) -> None:
        while not done():
            self._awake.clear()
            self._outbox.hear(session)
            if not done():
                await self._awake.wait()

    def _status_message(self, online: bool, since: float) -> payloads.Message:
        return payloads.status(self._gateway, online=online, since=since, **self._birth)  # type: ignore[arg-type]  # as filled above

    @property
    def connected(self) -> bool:
        return self._session is not None

    @property
    def refused(self) -> bool:
        """For something that a person has to mend."""
        return bool(self._error and self._error.refused)

    def status(self) -> dict[str, object]:
        """Plain JSON values; the rest is the outbox's."""
        return {
            "connected": self.connected,
            "since": payloads.iso(self._since),
            "error": str(self._error or ""),
            "refused": self.refused,
            "tls": self._session.tls if self._session else "",
            **self._outbox.status(),
        }
