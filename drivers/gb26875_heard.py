"""GB/T 26875.3-2011, who said what of which thing, in words: what `gengfu discover` lists.

One `Spoke` for each object of a unit that has states or values, one without a thing for any other message. For people
only; no sample and no answer depends on it.
"""

from __future__ import annotations

from drivers.contract import Conversation, Spoke
from drivers.gb26875_dialect import Dialect
from drivers.gb26875_message import Message
from drivers.gb26875_points import things_of
from drivers.gb26875_tables import ANALOGUES, RESERVED_NAME, name_of
from drivers.gb26875_unit import SHAPES, Object, quantity, words
from gateway.model import Text

NOTHING = Text("无", "none")
HEARTBEAT = Text("心跳", "heart-beat")
_KEYS = ("system", "address", "component", "component_address", "analogue")


def account(caller: str, message: Message, dialect: Dialect, *, known: bool) -> Conversation:
    """What a message says."""
    unit = message.unit
    things = things_of(unit) if unit else []
    for (kind, *_), one in things:
        about: list[tuple[str, str | int]] = [("of", kind)]
        about += [(key, value) for key in _KEYS if (value := getattr(one, key)) is not None]
        if one.description is not None and (text := printable(words(one.description))):
            about.append(("description", text))
        assert unit is not None
        yield Spoke(caller, known, tuple(about), _says(one, unit.type, dialect))
    if not things:
        shape = SHAPES.get(unit.type) if unit else None
        heartbeat = not unit and not message.bare
        name = HEARTBEAT if heartbeat and message.command == 2 else name_of(message.command, dialect.commands)
        yield Spoke(caller, known, (), shape.text if shape else name)


def printable(text: str) -> str:
    """Text from a wire, for a terminal or a file."""
    return "".join(c for c in text if c.isprintable()).strip()


def _says(one: Object, type_: int, dialect: Dialect) -> Text:
    if one.value is not None:
        measured = quantity(one)
        name = ANALOGUES[one.analogue].text if one.analogue in ANALOGUES else RESERVED_NAME
        value = f"{measured[0]:g} {measured[1]}".strip() if measured else str(one.value)
        return Text(f"{name.zh} {value}", f"{name.en} {value}")
    state = one.state or 0
    there = [bit.text for at, bit in dialect.bits(type_).items() if state >> at & 1]
    if not there:
        return NOTHING
    return Text("、".join(text.zh for text in there), ", ".join(text.en for text in there))
