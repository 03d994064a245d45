"""The life of an alarm as a table: ISA-18.2 / IEC 62682 states A to I (standards.md 6.1). An illegal move is a missing cell.

The table says where an event leads; who may cause it, and when, is said elsewhere: `rules.timing` decides that a
condition is present, `rules.aside` who may hide an alarm and for how long, `rules.alarm` which commands a person may
give. Shelving (G), suppression by design (H) and taking out of service (I) hide an alarm from people but never from
evaluation or the record: what comes or goes meanwhile stays in the state and is recorded. "Present" at their end is
the condition after its delays: an unknown keeps what was.

``python -m rules.lifecycle`` prints docs/alarm-states.md; the document is this table and nothing else.
"""

from __future__ import annotations

import sys
from enum import StrEnum

from gateway.model import State, Text


class Event(StrEnum):
    RAISE = "raise"
    """The condition is present (after the on-delay)."""
    CLEAR = "clear"
    """The condition is over (after the off-delay); the alarm does not latch."""
    LATCH = "latch"
    """The condition is over (after the off-delay); the alarm latches."""
    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"
    REALARM = "realarm"
    """Call again: acknowledged long ago, and still there."""
    SHELVE = "shelve"
    SUPPRESS = "suppress"
    TAKE_OUT = "take_out"
    END_PRESENT = "end_present"
    """Shelving, suppression or service ends while the condition is present."""
    END_OVER = "end_over"
    """Shelving, suppression or service ends while the condition is not present."""


A, B, C = State.NORMAL, State.UNACKNOWLEDGED, State.ACKNOWLEDGED
D, E, F = State.RETURNED, State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED
G, H, I = State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE  # noqa: E741  # the standard's letter

ACTIVE = frozenset({B, C})
"""The condition is present."""
ASIDE = frozenset({G, H, I})
"""Hidden from people; the state itself does not say whether the condition is present."""

TABLE: dict[tuple[State, Event], State] = {
    (A, Event.RAISE): B,
    (B, Event.ACKNOWLEDGE): C,
    (B, Event.CLEAR): D,
    (B, Event.LATCH): E,
    (C, Event.CLEAR): A,
    (C, Event.LATCH): F,
    (C, Event.REALARM): B,
    (D, Event.ACKNOWLEDGE): A,
    (D, Event.RAISE): B,
    (E, Event.ACKNOWLEDGE): F,
    (E, Event.RAISE): B,
    (E, Event.RESET): D,
    (F, Event.RESET): A,
    (F, Event.RAISE): B,
    **{(state, Event.SHELVE): G for state in State if state != G},
    **{(state, Event.SUPPRESS): H for state in State if state != H},
    **{(state, Event.TAKE_OUT): I for state in State if state != I},
    **{(state, event): state for state in (G, H, I) for event in (Event.RAISE, Event.CLEAR, Event.LATCH)},
    **{(state, Event.END_PRESENT): B for state in (G, H, I)},
    **{(state, Event.END_OVER): A for state in (G, H, I)},
}

STATES = {
    A: Text("正常", "normal"),
    B: Text("报警，未确认", "active, unacknowledged"),
    C: Text("报警，已确认", "active, acknowledged"),
    D: Text("已恢复，未确认", "returned, unacknowledged"),
    E: Text("锁存，未确认", "latched, unacknowledged"),
    F: Text("锁存，已确认", "latched, acknowledged"),
    G: Text("搁置", "shelved"),
    H: Text("按设计抑制", "suppressed by design"),
    I: Text("停用", "out of service"),
}
"""As people read them."""

_EVENTS = {
    Event.RAISE: Text("条件成立（延时后）", "condition present (after the on-delay)"),
    Event.CLEAR: Text("条件消除（延时后，不锁存）", "condition over (after the off-delay), not latching"),
    Event.LATCH: Text("条件消除（延时后，锁存）", "condition over (after the off-delay), latching"),
    Event.ACKNOWLEDGE: Text("确认", "acknowledged by a person"),
    Event.RESET: Text("复位", "reset by a person"),
    Event.REALARM: Text("再次报警", "calls again"),
    Event.SHELVE: Text("搁置", "shelved by a person, for a time"),
    Event.SUPPRESS: Text("按设计抑制", "suppressed by logic"),
    Event.TAKE_OUT: Text("停用", "taken out of service under a permit"),
    Event.END_PRESENT: Text("结束，条件成立", "ended, condition present"),
    Event.END_OVER: Text("结束，条件已消除", "ended, condition over"),
}

_LETTERS = dict(zip(State, "ABCDEFGHI", strict=True))

_HEAD = """\
# The states of an alarm 报警的状态

Generated from `rules/lifecycle.py` by `python -m rules.lifecycle`; do not edit. The letters are those of ISA-18.2 / IEC 62682.
What has no arrow cannot happen: a command that finds none is refused, with the reason. Any state can be shelved,
suppressed or taken out of service; these arrows are only in the table below.

* Shelving (G 搁置) and taking out of service (I 停用) need a person, a reason and a time, end by themselves, and are listed as long as they last
  (`gengfu alarms --aside`). Fire, personal and entrapment alarms are never shelved; they are taken out of service for a day at most, and
  that is an alarm of the gateway itself. Shelving ends at 8 h (or `max_shelve_s`), out of service at 7 days at the latest.
  After a power cut they go on if the clock is set within five minutes
  and says that they may; else both end.
* Suppression by design (H 按设计抑制) lasts while `suppressed_by` is known to be true: it begins with the second frame that says so, ends with the first
  that says otherwise, and after a minute in which nothing is known. Never for fire, personal and entrapment alarms.
* In G, H and I the condition is judged and recorded as ever (G → G and so on: a record whose `present` changed); nobody is called.
  At the end the alarm is active or normal by its condition; what is unknown is as it was last known.

* 搁置（G）和停用（I）须有人员、原因和时限，到时自动结束，期间一直列出（`gengfu alarms --aside`）。火警、求助、困人报警不得搁置；停用最长一天，并由网关自身报警提示。
  搁置最长 8 小时（或 `max_shelve_s`），停用最长 7 天。断电后，若五分钟内时钟同步且未到期则继续，否则两者即结束。
* 按设计抑制（H）仅在已知 `suppressed_by` 成立时有效：连续两帧成立才开始，一帧不成立即结束，一分钟内情况不明也结束。不适用于火警、求助、困人。
* 在 G、H、I 中，条件照常判断并记录（G → G 等：`present` 改变的记录），但不呼叫人。结束时按条件恢复为报警或正常；情况不明时以最后已知为准。
"""


def diagram() -> str:
    """The table as Markdown: a Mermaid state diagram, then every cell."""
    picture = ["```mermaid", "stateDiagram-v2", "    [*] --> A"]
    picture += [f"    {_LETTERS[state]}: {_LETTERS[state]} {text.en}" for state, text in STATES.items()]
    picture += [
        f"    {_LETTERS[before]} --> {_LETTERS[after]}: {event}"
        for (before, event), after in TABLE.items()
        if after not in ASIDE
    ]
    states = ["| | state | 状态 | in messages |", "|---|---|---|---|"]
    states += [f"| {_LETTERS[state]} | {text.en} | {text.zh} | `{state}` |" for state, text in STATES.items()]
    cells = ["| from | event | 事件 | to |", "|---|---|---|---|"]
    cells += [
        f"| {_LETTERS[before]} | {_EVENTS[event].en} | {_EVENTS[event].zh} | {_LETTERS[after]} |"
        for (before, event), after in TABLE.items()
    ]
    return "\n".join([_HEAD, *picture, "```", "", *states, "", *cells, ""])


if __name__ == "__main__":
    sys.stdout.write(diagram())
