"""When a key in the guard room was pressed. Pure: frames in, presses out.

Guarantees
* A press is two good frames in a row that say pressed, after two in a row that said released: a flipped bit acknowledges
  nothing, neither at rest nor on a key that is stuck. A frame that is not good ends a row and means nothing else.
* A key that is held, or stuck since before the start, is pressed once, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.annunciator import Line
from gateway.model import AlarmClass, Value

FRAMES = 2


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key of the site file: acknowledges and silences the alarms of its classes."""

    id: str
    classes: frozenset[AlarmClass]
    end: str | Line
    """A point, or a GPIO line."""
    pressed: Value = 1
    """The point's value when it is pressed."""


class Button:
    """One key. `take` is told each frame."""

    def __init__(self) -> None:
        self._released = False
        self._said: bool | None = None
        self._row = 0

    def take(self, pressed: bool | None) -> bool:
        """True once for each press; `pressed` is None when the frame is not good."""
        self._row = self._row + 1 if pressed is self._said else 1
        self._said = pressed
        if pressed is None or self._row < FRAMES:
            return False
        was_released, self._released = self._released, not pressed
        return pressed and was_released
