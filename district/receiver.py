"""Messages in, receipts out: the district's connection to the broker.

Guarantees
* Nothing is receipted, and nothing acknowledged to the broker, before it is on the disk: what this process takes with
  it when it dies, the broker still has (PUBACK comes after the commit) and the gateway still has (no receipt).
* Alarms are receipted at once after the commit, each time they come; telemetry by its position every
  `receipt_interval_s`, sooner after `SOON` new records, at once when a hole before the position has closed.
* It never gives up: any failure of link, broker or disk ends the session, and another begins after a jittered back-off.
* Alarms overtake telemetry that waits, and memory is bounded: see `district.inbox`.

A message that the MQTT library itself cannot read would come again with each session. Then one session is begun anew
(what it held has no receipt, so the gateways send it again), without the retained messages: alarms before statuses.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import aiomqtt
from paho.mqtt.client import Client as Paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from district import record
from district.inbox import Inbox
from district.store import Arrival, Outcome, Rejected, Store, StoreError

log = logging.getLogger(__name__)
mqtt_log = logging.getLogger(f"{__name__}.mqtt")
mqtt_log.setLevel(logging.ERROR)  # aiomqtt warns of each disconnection, which is told here once
BATCH = 200
WINDOW = 200
SOON = 100
LARGEST_PACKET_BYTES = 256 * 1024
SESSION_EXPIRY_S = 7 * 24 * 3600
KEEPALIVE_S = 10
TIMEOUT_S = 10.0
RECEIPT_IDS = 200
MALFORMED_PACKET, PROTOCOL_ERROR = 0x81, 0x82
LONGEST_BACK_OFF_S = 10.0
SETTLED_S = 10.0
"""A session that held this long begins the back-off anew."""


@dataclass(frozen=True, slots=True)
class Options:
    host: str
    port: int
    ca: str
    certificate: str
    key: str
    receipt_interval_s: float = 2.0
    client_id: str = "gengfu-district"


class Overrun(Exception):
    """More came than is held in memory. Reaction: a new session, in which the broker delivers the rest again."""


class Unreadable(Exception):
    """The MQTT library cannot parse what the broker sends. Reaction: a new session, see the module."""


async def run(options: Options, store: Store) -> None:
    """Receive for ever; ends by cancellation, after the commit under way."""
    disk = ThreadPoolExecutor(1, "disk")
    failures = 0
    start_anew = False
    try:
        while True:
            began = time.monotonic()
            try:
                await _session(options, store, disk, start_anew)
            except* (aiomqtt.MqttError, OSError, StoreError, Overrun, Unreadable) as group:
                start_anew = group.subgroup(Unreadable) is not None
                overrun = group.subgroup(Overrun) is not None  # it worked well, only too slowly
                failures = 1 if overrun or time.monotonic() - began > SETTLED_S else failures + 1
                if failures == 1 or start_anew:
                    log.warning("not receiving: %s", "; ".join(map(repr, _leaves(group))))
            await asyncio.sleep(random.uniform(0.1, min(LONGEST_BACK_OFF_S, 0.5 * 2 ** min(failures, 10))))
    finally:
        disk.shutdown(wait=True)


def tls_context(options: Options) -> ssl.SSLContext:
    """TLS 1.3, both sides verified; raises OSError (ssl.SSLError) when a file is missing or wrong."""
    context = ssl.create_default_context(cafile=options.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.hostname_checks_common_name = False
    context.load_cert_chain(options.certificate, options.key)
    return context


def receipts(outcome: Outcome) -> list[tuple[str, bytes]]:
    """Gateway and payload of the receipts for alarms, each of bounded size."""
    return [
        (gateway, json.dumps({"alarms": ids[start : start + RECEIPT_IDS]}, ensure_ascii=False).encode())
        for gateway, ids in outcome.alarms.items()
        for start in range(0, len(ids), RECEIPT_IDS)
    ]


def read(topic: str, message: aiomqtt.Message, at: float) -> Arrival:
    """What a message is, whatever it is."""
    body = bytes(message.payload)
    properties = message.properties
    attributes: Sequence[tuple[str, str]] = getattr(properties, "UserProperty", [])
    try:
        if topic.endswith("/status"):
            return Arrival(at, record.parse_status(topic, body))
        return Arrival(at, record.parse(topic, getattr(properties, "ContentType", ""), attributes, body))
    except record.Malformed as reason:
        return Arrival(at, Rejected(topic, str(reason), attributes, body))


class Positions:
    """Telemetry positions that wait for their receipt: the latest of each journal."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], int] = {}
        self._told: dict[tuple[str, str], int] = {}
        self.due = asyncio.Event()
        """Something should not wait for the interval."""

    def add(self, outcome: Outcome) -> None:
        for gateway, journal, position, jumped in outcome.positions:
            self._waiting[gateway, journal] = position
            if jumped or position - self._told.get((gateway, journal), 0) >= SOON:
                self.due.set()

    def take(self) -> list[tuple[str, bytes]]:
        """Gateway and payload of each receipt; they count as told."""
        self.due.clear()
        taken, self._waiting = self._waiting, {}
        # Only the journals of late: an older one that comes back is told a little sooner, no more.
        self._told = dict(list((self._told | taken).items())[-1_000:])
        return [
            (gateway, json.dumps({"telemetry": {"journal": journal, "position": position}}).encode())
            for (gateway, journal), position in taken.items()
        ]


async def _session(options: Options, store: Store, disk: ThreadPoolExecutor, start_anew: bool) -> None:
    inbox = Inbox()
    client = _client(options, inbox, start_anew)
    paho = _paho(client)
    paho.manual_ack_set(True)
    client.pending_calls_threshold = WINDOW + RECEIPT_IDS  # aiomqtt warns above it; receipts are sent side by side
    try:
        async with client:
            await _subscribe(client, start_anew)
            log.info("listening on %s:%d", options.host, options.port)
            positions = Positions()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_tell_positions(client, positions, options.receipt_interval_s), name="positions")
                tasks.create_task(_receive(client, inbox, store, disk, positions), name="receive")
    except* aiomqtt.MqttError as group:
        cause = _end_of(client)
        if _is_unreadable(cause):
            raise Unreadable(str(cause)) from group
        raise
    finally:
        # aiomqtt leaves the socket in the loop's hands when connecting or parsing fails; paho has no public close.
        paho._sock_close()


async def _receive(
    client: aiomqtt.Client, inbox: Inbox, store: Store, disk: ThreadPoolExecutor, positions: Positions
) -> None:
    loop, paho = asyncio.get_running_loop(), _paho(client)
    while True:
        messages = [await anext(client.messages)]
        while inbox.qsize() and len(messages) < BATCH:
            messages.append(inbox.get_nowait())
        at = time.time()
        arrivals = [read(message.topic.value, message, at) for message in messages]
        outcome = await loop.run_in_executor(disk, store.commit, arrivals)
        for message in inbox.stored(messages):
            paho.ack(message.mid, message.qos)
        positions.add(outcome)
        await _publish(client, receipts(outcome))
        if inbox.overrun and not inbox.qsize():
            raise Overrun("more messages than are held in memory")


async def _tell_positions(client: aiomqtt.Client, positions: Positions, interval_s: float) -> None:
    while True:
        try:
            async with asyncio.timeout(interval_s):
                await positions.due.wait()
        except TimeoutError:
            pass  # the interval is over: the ordinary case
        await _publish(client, positions.take())


async def _publish(client: aiomqtt.Client, payloads: Sequence[tuple[str, bytes]]) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
    properties.ContentType = "application/json"
    async with asyncio.TaskGroup() as tasks:
        for gateway, payload in payloads:
            topic = f"gengfu/v1/{gateway}/receipt"
            tasks.create_task(client.publish(topic, payload, qos=1, properties=properties))


async def _subscribe(client: aiomqtt.Client, start_anew: bool) -> None:
    """Raises MqttError when the broker refuses: it is then no use to stay."""
    retained = SubscribeOptions.RETAIN_DO_NOT_SEND if start_anew else SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
    for leaf in (record.ALARM, record.TELEMETRY, record.STATUS):
        options = SubscribeOptions(qos=1, retainHandling=retained)
        granted = await client.subscribe(f"gengfu/v1/+/{leaf}", options=options)
        if any(code.is_failure for code in granted if not isinstance(code, int)):
            raise aiomqtt.MqttError(f"the broker refuses gengfu/v1/+/{leaf}: {granted}")


def _client(options: Options, inbox: Inbox, start_anew: bool) -> aiomqtt.Client:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = WINDOW
    properties.MaximumPacketSize = LARGEST_PACKET_BYTES
    return aiomqtt.Client(
        options.host,
        options.port,
        identifier=options.client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=start_anew,
        properties=properties,
        tls_context=tls_context(options),
        logger=mqtt_log,
        keepalive=KEEPALIVE_S,
        timeout=TIMEOUT_S,
        queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize: inbox),
        socket_options=[
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TIMEOUT_S * 1000)),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),  # a receipt behind a PUBACK would wait ~40 ms
        ],
    )


def _paho(client: aiomqtt.Client) -> Paho:
    """aiomqtt has no manual acknowledgement; the paho client in it has."""
    return client._client


def _end_of(client: aiomqtt.Client) -> BaseException | None:
    """Why the connection ended, which aiomqtt tells nobody who was not just waiting for a message."""
    ended = client._disconnected
    return ended.exception() if ended.done() and not ended.cancelled() else None


def _is_unreadable(cause: BaseException | None) -> bool:
    """Whether the library gave up on what it read: its own protocol error, or anything that is no failure of a link."""
    if isinstance(cause, aiomqtt.MqttCodeError):
        return isinstance(cause.rc, ReasonCode) and cause.rc.value in (MALFORMED_PACKET, PROTOCOL_ERROR)
    return cause is not None and not isinstance(cause, OSError)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
