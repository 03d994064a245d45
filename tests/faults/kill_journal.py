"""The program that is killed: commits and prints ``TRY n`` before and ``ACK n id`` after the durable callback.

    python tests/faults/kill_journal.py DIRECTORY FIRST

Both lanes at once; ``n`` is the body of the record and goes on from FIRST. Now and then it settles, so that the lanes are
pruned while they are killed.
"""

import asyncio
import os
import secrets
import sys
from pathlib import Path

from gateway.clock import SystemClock
from gateway.model import Draft, Lane
from gateway.store.journal import Journal
from gateway.store.worker import ThreadWorker
from gateway.wire.payloads import record_id

QUOTA_BYTES = 600_000


def say(word, lane, *what):
    os.write(1, " ".join((word, lane.value, *map(str, what), "\n")).encode())


def lane_of(lane, directory):
    path = directory / f"{lane.value}.db"
    return Journal(lane, path, "demo-01", SystemClock(), ThreadWorker(lane.value), QUOTA_BYTES, secrets.token_hex)


async def write(journal, clock, first):
    number = first
    while True:
        told = []
        for _ in range(1 + number % 5):
            body = b'{"alarm":"a%d","n":%d,"x":"%s"}' % (number, number, b"x" * (number * 37 % 900))
            say("TRY", journal.lane, number)
            done = asyncio.get_running_loop().create_future()
            told.append((number, done))
            journal.commit(
                [Draft("gengfu.event.test", clock.monotonic(), body)],
                {"last": b"%d" % number},
                lambda records, error, done=done: done.set_result((records, error)),
            )
            number += 1
        for done_number, done in told:
            records, error = await done
            if error is None:
                say("ACK", journal.lane, done_number, record_id("demo-01", records[0]))
        if number % 50 < 5:
            journal.settle_to("u", journal.counters().durable - 200)


async def main():
    directory, first = Path(sys.argv[1]), int(sys.argv[2])
    lanes = [lane_of(lane, directory) for lane in Lane]
    for journal in lanes:
        opened = await journal.open()
        if not opened.durable or opened.set_aside or opened.damaged_items:
            say("BAD", journal.lane, opened)
        journal.position("u")
    os.write(1, b"READY\n")
    await asyncio.gather(*(write(journal, SystemClock(), first) for journal in lanes))


asyncio.run(main())
