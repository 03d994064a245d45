"""What the simulator's processes have in common: a port file that says "ready", and commands as lines of input."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: object) -> None:
    """Write JSON so that nobody ever reads half of it."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(path)


def follow(handle: int, take: Callable[[bytes], None], end: Callable[[], None]) -> None:
    """Hand every line of an input to the event loop, then `end`; on a thread, since not every input can be polled."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        rest = b""
        with suppress(RuntimeError):  # the loop is closed: the process is ending anyway
            while data := os.read(handle, 65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in filter(None, lines):
                    loop.call_soon_threadsafe(take, line)
            loop.call_soon_threadsafe(end)

    threading.Thread(target=run, name="commands", daemon=True).start()
