"""Faults from the outside, for the booted tests: signals that hang one part of the daemon each.

It is on PYTHONPATH of the tested service only, by a drop-in. The daemon itself knows nothing of it.
"""

import os
import signal
import sys
import threading
import time

if sys.argv[1:2] == ["run"]:  # the daemon, no tool

    def loop(*_):
        while True:
            time.sleep(1)

    def store(*_):
        from gateway.store.worker import ThreadWorker

        def submit(self, job, submit=ThreadWorker.submit):
            submit(self, lambda: threading.Event().wait())

        ThreadWorker.submit = submit

    def bus(*_):
        import asyncio

        from gateway.field.bus import Bus

        async def perform(self, *args, **options):
            await asyncio.Event().wait()

        Bus.perform = perform

    def rules(*_):
        from rules.engine import Engine

        def step(self, *args):
            raise RuntimeError("a bug in the engine")

        Engine.step = step

    signal.signal(signal.SIGUSR1, loop)
    signal.signal(signal.SIGUSR2, store)
    signal.signal(signal.SIGRTMIN, bus)
    signal.signal(signal.SIGRTMIN + 1, rules)

    def site():
        with open("/etc/gengfu/site.yaml", encoding="utf-8") as file:
            return file.read(200).partition("id: ")[2].partition(",")[0]

    if os.path.exists(f"/var/lib/crash/{site()}"):
        # This site makes the daemon crash, soon after it has started; the last known good one does not.
        def crash():
            while "gateway.app" not in sys.modules or not ran:
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)

        ran = []
        from gateway.apart import Reading

        def result(self, result=Reading.result):
            site = result(self)
            if os.path.exists(f"/var/lib/crash/{site.gateway.id}"):
                ran.append(site)
            return site

        Reading.result = result
        threading.Thread(target=crash, daemon=True).start()
