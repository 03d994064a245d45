"""The disk seam: who runs the jobs of one journal file.

`ThreadWorker` is one thread and runs jobs in the order of `submit`; `InlineWorker` runs each at once on the caller (the
simulation, where virtual time must not race with a thread). Neither knows what a job does, returns nothing and never
blocks the caller (inline apart, where the caller is the disk).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

Job = Callable[[], None]


class Worker(Protocol):
    def submit(self, job: Job) -> None: ...
    def close(self) -> None:
        """No more jobs; those submitted still run. Does not wait."""


class InlineWorker:
    """Runs a job at once on the caller."""

    def submit(self, job: Job) -> None:
        job()

    def close(self) -> None:
        """Nothing waits."""


class ThreadWorker:
    """One daemon thread: a disk that never answers must not keep the process from ending.

    A job that raises is a bug: `threading.excepthook` shows it, the thread ends with it, and another one goes on with the
    next job.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        self._jobs.put(job)
        if self._thread is None:
            self._start()

    def close(self) -> None:
        self._jobs.put(None)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        ended = False
        try:
            while (job := self._jobs.get()) is not None:
                job()
            ended = True
        finally:
            if not ended:  # here, not in the next `submit`: that may come while this thread is still dying
                self._start()
