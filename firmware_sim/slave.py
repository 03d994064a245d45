"""What every device on a line is: something that hears a frame and answers, or does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from firmware_sim.fault import Fault
from firmware_sim.registers import Value


class Heard(Enum):
    """Why a device does not answer what it heard."""

    NOISE = "noise"
    """No frame of its protocol."""
    OTHERS = "others"
    """A sound frame that is for another one, or asks for nothing it knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device says to a request, and which point values that carries."""

    device: str
    data: bytes
    points: Mapping[str, Value]
    writes: Mapping[str, Value] = field(default_factory=dict)
    """What the request made of the device's own points, from when it was heard."""


class Slave(Protocol):
    @property
    def device(self) -> str: ...

    def hear(self, frame: bytes, values: Mapping[str, Value], fault: Fault) -> Answer | Heard:
        """The answer to one whole frame, with the device's values and fault of now."""
