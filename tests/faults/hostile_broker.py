"""A broker that floods whoever connects: ``python -m tests.faults.hostile_broker PKI MESSAGES``.

In a process of its own, so that a loop that is late is the gateway's. Prints its port; between its floods it is a good
broker with a district behind it. When all is sent, prints ``DONE``; at the end of its input, how many records it stored.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

from tests import certificates
from tests.fake_broker import FakeBroker, message, packet
from tests.gateway.test_uplink_wire import RECEIPT, District
from tests.waiting import until

SEED = 17
AT_ONCE = 50


def hostile(rng):
    """Something that nobody should send."""
    nested = b"[" * 5_000
    names = [
        f"demo-01/alarm/{rng.getrandbits(32):08x}.{rng.getrandbits(32):08x}/{rng.randrange(99)}" for _ in range(50)
    ]
    bodies = (
        b"", b"null", b"[]", b"{", nested, b"\xff\xfe\x00", b'{"alarms": 7}', b'{"alarms": ["' + b"a" * 30_000 + b'"]}',
        b'{"telemetry": {"journal": "x", "position": 1e400}}', b'{"telemetry": {"journal": 1, "position": -5}}',
        b'{"telemetry": {"journal": "x", "position": ' + b"9" * 5_000 + b"}}", b'{"alarms": [null, {}, []]}',
        json.dumps({"alarms": names}).encode(), b'{"__class__": "os.system", "args": ["touch /hostile"]}',
        b"!!python/object/apply:os.system ['id']", b"cos\nsystem\n(S'id'\ntR.", b"$(id); `id`; {{7*7}}", rng.randbytes(300),
        json.dumps({"alarms": [str(number) for number in range(6_000)]}).encode(), b"[" + b"9" * 4_000 + b"]" * 50_000,
    )  # fmt: skip
    topics = (RECEIPT, RECEIPT, RECEIPT, "gengfu/v1/demo-01/command", "$SYS/x", "a" * 2_000, "火/+/#")
    return message(rng.choice(topics), rng.choice(bodies), qos=rng.randrange(2), retain=rng.random() < 0.1)


async def flood(broker, count):
    """As fast as they are taken, some at once; now and then bytes that are no packet, which cost the connection."""
    rng = random.Random(SEED)
    for number in range(0, count, AT_ONCE):
        await until(lambda: broker.writers and not broker.writers[-1].is_closing(), 60, 0.001)
        broker.send(b"".join(hostile(rng) for _ in range(AT_ONCE)))
        if number % 500 == 0:
            broker.send(packet(rng.randrange(16), rng.randrange(16), rng.randbytes(rng.randrange(40))))
        try:
            await asyncio.wait_for(broker.writers[-1].drain(), 20)
        except ConnectionError:
            broker.writers.clear()


def say(words):
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


async def main(pki, count):
    async with FakeBroker(certificates.server_context(pki, "broker", pki)) as broker:
        broker.answer = district = District(broker)
        say(broker.port)
        await broker.subscribed.wait()
        await flood(broker, count)
        say("DONE")
        await asyncio.to_thread(sys.stdin.read)
        say(len(district.stored))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
