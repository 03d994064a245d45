"""Waiting for a condition with a bounded deadline: the tests' only way to let real time pass."""

import asyncio


async def until(condition, timeout_s=5.0, every_s=0.005):
    """Return the first truthy value of ``condition()``; fail loudly after `timeout_s`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        if value := condition():
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not true within {timeout_s} s: {condition}")
        await asyncio.sleep(every_s)
