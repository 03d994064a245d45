"""The counting subscriber: what arrived at the broker, and when; the same for every product.

``python -m bench.peers.receiver PRODUCT --port N --ca FILE [--watch DEVICE]`` writes receiver-ready.json when it has
subscribed, receiver-first.json (the time) at the first value, and at SIGINT receiver.json: ``messages`` [[monotonic time, values], …], ``changes`` of register 0
of the watched device [[monotonic time, value], …]. It answers what the product's platform would have to.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from pathlib import Path
from threading import Event

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bench.peers.products import PRODUCTS


class Count:
    def __init__(self, product: str, watched: str) -> None:
        self._product = PRODUCTS[product]
        self._watched = watched
        self._last: float | None = None
        self.messages: list[tuple[float, int]] = []
        self.changes: list[tuple[float, float]] = []

    def take(self, client: Client, _: object, message: MQTTMessage) -> None:
        at = time.monotonic()
        payload = bytes(message.payload)
        values = list(self._product.values(message.topic, payload))
        if values:
            if not self.messages:
                Path("receiver-first.json").write_text(str(at))
            self.messages.append((at, len(values)))
        for device, register, value in values:
            if device == self._watched and register == 0 and value != self._last:
                self._last = value
                self.changes.append((at, value))
        for topic, said in self._product.answer(message.topic, payload):
            client.publish(topic, said, qos=1)


def _subscribe(client: Client, *_: object) -> None:
    client.subscribe("#", qos=1)


def _tell(*_: object) -> None:
    Path("receiver-ready.json").write_text("{}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.receiver", description=__doc__)
    parser.add_argument("product", choices=PRODUCTS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--watch", default="")
    given = parser.parse_args()
    count, over = Count(given.product, given.watch), Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id="receiver")
    client.tls_set(ca_certs=given.ca)
    client.on_message = count.take
    client.on_connect = _subscribe
    client.on_subscribe = _tell
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    client.connect("localhost", given.port)
    client.loop_start()
    while not over.wait(0.2):
        pass
    client.loop_stop()
    found = {"messages": count.messages, "changes": count.changes}
    Path("receiver.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
