"""Calls that may hang, each on a thread of its own: opening a sick adapter, asking a name server that does not answer.

Guarantees: no call waits for another one, and none for the interpreter's end (the threads are daemons; asyncio's shared
pool has a handful of threads for everybody, which a few hung adapters take for good). What a call yields after nobody
waits for it any more goes to `unwanted`, so that an adapter that opens at last is closed again.

It cannot end a call that hangs: nothing can.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(
    name: str,
    call: Callable[[], T],
    fails: tuple[type[Exception], ...] = (OSError,),
    unwanted: Callable[[T], None] = lambda result: None,
) -> T:
    """What `call` gives, or raises of `fails`; anything else is its bug: RuntimeError here, the traceback in the log."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: list[T], error: Exception | None) -> None:
        if done.done():
            for one in result:
                unwanted(one)
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(result[0])

    def run() -> None:
        result: list[T] = []
        error: Exception | None = RuntimeError(f"a bug in {name}")
        try:
            result.append(call())
            error = None
        except fails as failure:
            error = failure
        finally:
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:  # the loop is closed: the process is ending
                for one in result:
                    unwanted(one)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
