"""How the rules let one bug be one bug: a guard is handed in, and tells of it (`gateway.restart.Guard.call`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Guard(Protocol):
    """``guard(name, call)`` gives what ``call()`` gives, or None after a bug that it told of."""

    def __call__(self, name: str, call: Callable[[], T], /) -> T | None: ...


def unguarded(name: str, call: Callable[[], T], /) -> T | None:
    """For tests and tools: a bug is raised where it is."""
    return call()
