"""What Gengfu says over MQTT, as data: topics, attributes, kinds, examples. Nothing here runs.

docs/payloads.md is generated from these tables (`gateway.wire.payloads.reference`); the examples in them are checked
against what the encoders really produce.
"""

from __future__ import annotations

from typing import NamedTuple

TRANSITION = "gengfu.alarm.transition"
RUN = "gengfu.event.run"
CLOCK = "gengfu.event.clock"
CLOCK_JUMP = "gengfu.event.clock_jump"
COMMAND = "gengfu.event.command"
FLOOD = "gengfu.event.flood"
TOOL = "gengfu.event.tool"
SITE = "gengfu.event.site"
EVENT_GAP = "gengfu.event.gap"
TELEMETRY_GAP = "gengfu.telemetry.gap"
PACK = "gengfu.telemetry.pack"

JSON = "application/json"
SENML = "application/senml+json"

ROOT = "gengfu/v1"


class Topic(NamedTuple):
    name: str
    direction: str
    qos: str
    what: str


class Attribute(NamedTuple):
    name: str
    """One, or several that belong together, with a comma."""
    example: str
    """As markdown."""
    meaning: str


class Field(NamedTuple):
    name: str
    meaning: str


class Kind(NamedTuple):
    type: str
    content_type: str
    what: str
    fields: tuple[Field, ...] = ()


TOPICS = (
    Topic("alarm", "up", "1, no", "records of the alarm lane: transitions, events, gaps"),
    Topic("telemetry", "up", "1, no", "records of the telemetry lane: packs, gaps"),
    Topic("status", "up", "1, yes", "birth (`online: true`) and will (`online: false`)"),
    Topic("receipt", "down", "1, no", "the district's receipts"),
)

ATTRIBUTES = (
    Attribute("specversion", "`1.0`", "CloudEvents"),
    Attribute(
        "id",
        "`demo-01/alarm/3f9a2c11.7be0/57`",
        "the record's id: gateway / lane / journal.run / sequence. The same record sent again has the same id: "
        "drop duplicates by it",
    ),
    Attribute("source", "`gengfu:demo-01`", "the gateway"),
    Attribute("type", "`gengfu.alarm.transition`", "see the kinds below"),
    Attribute("time", "`2026-11-22T00:20:31.125000Z`", "wall time at which it happened"),
    Attribute("lane", "`alarm` or `telemetry`", ""),
    Attribute("journal", "`3f9a2c11`", "random per journal file"),
    Attribute("run", "`7be0`", "random per start of the gateway"),
    Attribute(
        "sequence",
        "`57`",
        "goes on by 1 within (gateway, lane, journal), across runs: a missing number that no gap record names is a "
        "loss. A number seen with two runs was announced by the earlier run before the disk confirmed it: both are "
        "true records",
    ),
    Attribute(
        "follows",
        "`55`",
        "telemetry lane only: the number before this one that came or comes; 0 when this is the first that is still to "
        "be settled. Numbers in between do not come any more (a gap record will say why) or only late (the broker "
        "refused them): count them as named, do not wait for them. It may differ when a record is sent again",
    ),
    Attribute("boot, monotonic", "32 hex, `1234.567890`", "order and elapsed time that no clock change can bend"),
    Attribute(
        "clock",
        "`trusted` or `untrusted`",
        "whether `time` came from a synchronised clock; `gengfu.event.clock` dates a boot's untrusted records later",
    ),
    Attribute("durable", "`true` or `false`", "false: announced before the gateway's disk confirmed it"),
    Attribute(
        "previous, digest",
        "64 hex",
        "alarm lane only: hash chain, SHA-256 over previous (32 raw bytes, zeros at first) and the lines id, type, "
        "boot, monotonic (6 decimals), time (Unix, 6 decimals), 1 or 0 for trusted, body, joined by newline",
    ),
)

_GAP = (
    Field("first", "first number of the range"),
    Field("last", "last number of the range"),
    Field("dropped", "how many records of it were dropped"),
    Field("reason", "such as `quota`, `corrupt` or `refused`"),
)
_GAP_WHAT = "records `first`..`last` of this lane and journal will not come (those of them not yet sent)"

KINDS = (
    Kind(
        TRANSITION,
        JSON,
        "an alarm changed its state",
        (
            Field("alarm", "the alarm's id"),
            Field("class", "fire, personal, entrapment, intrusion, lift, slope, water, fault"),
            Field("severity", "critical, high, medium, low (red, orange, yellow, blue)"),
            Field(
                "before",
                "the state it left: normal, unacknowledged, acknowledged, returned, latched_unacknowledged, "
                "latched_acknowledged, shelved, suppressed, out_of_service",
            ),
            Field("after", "the state it entered"),
            Field(
                "active",
                "it stands: its condition holds, or it is latched until a person resets it; false while it is shelved, "
                "suppressed or out_of_service, whatever its condition",
            ),
            Field("acknowledged", "it stands and a person has acknowledged it"),
            Field(
                "present",
                "its condition is present, also while it is hidden: a record with `before` = `after` says that this changed",
            ),
            Field("text", "for people, `zh` and `en`: what and where"),
            Field("message", "the same with how it stands, since when, the value, and what to do"),
            Field("place", "grid, building, unit, floor, flat, position, zone; empty parts are left out"),
            Field(
                "since",
                "monotonic seconds at which its condition last became present, or it was hidden while it was not",
            ),
            Field(
                "cause",
                "`kind` is `sample` (`point`, `value`, `quality`, `at`), `deadline` (a delay ended; `at`, and "
                "`sample`, the one that last held) or `command` (`action`, `who`, `why`, `at`; `for_s` where it hides the alarm "
                "for a time)",
            ),
            Field(
                "evidence",
                "what the rule looked at: `samples` (at most 24; the one that decided first) and `left_out`, how many more; "
                "`trend`, at most 8 earlier ones of the first, oldest first; `when`, the condition with its thresholds in the "
                "words of the site file ({} when it is too long); `crc` of it; `rule`, id and version in the library of rules, "
                "empty for a site's own. Null in a record of 16 KiB, and absent from older gateways",
            ),
            Field(
                "marks",
                "any of `first_out` (the first of its zone after 10 quiet minutes), `chattering` (raised 3 times in a minute), "
                "`fleeting` (over within 10 s, unacknowledged), `grouped` (low or medium, during a flood: people are told of it "
                "with the others)",
            ),
            Field("simulated", "it looks at simulated devices: not a real alarm"),
        ),
    ),
    Kind(
        RUN,
        JSON,
        "the gateway started",
        (
            Field("version", "of the gateway"),
            Field("previous_boot", "boot of the run before; null at the first"),
            Field("alarms", "ids of the alarms active at the start"),
            Field("gone", "ids of alarms whose saved state was given up: not in the site any more, or unreadable"),
            Field("set_aside", "name of a journal file that was found damaged and set aside, or null"),
        ),
    ),
    Kind(
        CLOCK,
        JSON,
        "dates the earlier untrusted records of that boot",
        (
            Field("boot", "the boot"),
            Field("monotonic", "seconds within it, and"),
            Field("wall", "the same moment as seconds since 1970 UTC, from a synchronised clock"),
        ),
    ),
    Kind(
        CLOCK_JUMP,
        JSON,
        "the wall clock jumped by more than five minutes; no rule and no timer goes by it",
        (
            Field("boot", "the boot"),
            Field("monotonic", "seconds within it"),
            Field("before", "what the clock would have said, seconds since 1970 UTC"),
            Field("after", "what it says"),
            Field("trusted", "whether it is synchronised now"),
        ),
    ),
    Kind(
        FLOOD,
        JSON,
        "a flood of alarms began (more than 10 new ones in 10 minutes) or ended (fewer than 5)",
        (
            Field("begins", "true at its begin, false at its end"),
            Field("since", "monotonic seconds at which it began"),
            Field("alarms", "new alarms so far, with those that made it a flood"),
            Field("grouped", "records marked `grouped` so far; each of them was sent"),
            Field("first", "id of the first alarm of it; empty when that was before a restart of the gateway"),
        ),
    ),
    Kind(
        COMMAND,
        JSON,
        "a person did something; or a key of the guard room, or a sounder whose longest on-time is over (`who` says which)",
        (
            Field(
                "action",
                "`acknowledge`, `reset`, `shelve`, `unshelve`, `take_out` (of service), `return`; of a partition `arm`, "
                "`disarm`; `level` (guard level); `silence` (sounders, until something new calls)",
            ),
            Field(
                "alarm",
                "the alarm's id; the partition's for `arm` and `disarm`; empty for `level`; for `silence` an output's, or empty for all",
            ),
            Field("who", "the person"),
            Field("why", "in their words; may be empty"),
            Field("for_s", "how long, where it hides the alarm for a time; else null"),
            Field(
                "value",
                "what an action needs besides: for `arm` the mode (`away`, `stay`) and the points of zones to go without, with "
                "spaces between; for `level` its number or name; for `silence` classes of alarms, or empty for all; else empty",
            ),
            Field("refused", "null, or why it had no effect (`zh` and `en`)"),
        ),
    ),
    Kind(
        TOOL,
        JSON,
        "a technician began to use a tool on the running gateway: it reads on the lines, in idle slots",
        (
            Field("tool", "`scan`, `peek` or `record`"),
            Field("who", "the person, and the user that the kernel vouches for"),
            Field("why", "in their words; may be empty"),
        ),
    ),
    Kind(
        SITE,
        JSON,
        "the site file was changed while the gateway runs, or a change was proved or undone",
        (
            Field(
                "stage",
                "`applied`: from here on, on trial for a minute; `proved`; `undone`: as it was before, from here on",
            ),
            Field(
                "who",
                "the person, and the user that the kernel vouches for; `SIGHUP`; `gengfu` where the gateway undid it",
            ),
            Field("why", "in their words, or why it was undone; may be empty"),
            Field("before", "SHA-256 of the site file with its templates that ran before, in hex"),
            Field("after", "of the one that runs from here on"),
            Field(
                "changed",
                "`buses`, `devices`, `alarms`, `uplinks`: ids that are `new`, `changed` or `gone`; `other`: sections; what has "
                "no change is left out, of a long list the first 100 are named",
            ),
            Field("gone", "alarms that stood when they left the site, with their state"),
        ),
    ),
    Kind(EVENT_GAP, JSON, _GAP_WHAT, _GAP),
    Kind(TELEMETRY_GAP, JSON, _GAP_WHAT, _GAP),
    Kind(PACK, SENML, "values, SenML (RFC 8428)"),
)

TRANSITION_EXAMPLE = """\
{"alarm": "fire-1203", "class": "fire", "severity": "critical",
 "before": "normal", "after": "unacknowledged", "active": true, "acknowledged": false, "present": true,
 "text": {"zh": "12号楼1单元12层1203室 火警", "en": "Fire, building 12, unit 1, floor 12, flat 1203"},
 "message": {"zh": "12号楼1单元12层1203室 火警：报警，未确认。自 2026-11-22 08:20:31 起。烟雾浓度 7.5 %/m。处置：立即到现场核实；确认起火即报119并疏散人员",
             "en": "Fire, building 12, unit 1, floor 12, flat 1203: active, unacknowledged; since 2026-11-22 08:20:31; smoke 7.5 %/m; to do: go and look at once; if it burns call 119 and evacuate"},
 "place": {"building": "12", "unit": "1", "floor": "12", "flat": "1203", "zone": "b12-f12"},
 "since": 1234.5, "cause": {"kind": "sample", "point": "smoke-1203/density", "value": 7.5, "quality": "good", "at": 1234.5},
 "evidence": {"samples": [{"point": "smoke-1203/density", "value": 7.5, "quality": "good", "at": 1234.5}], "left_out": 0,
              "trend": [{"point": "smoke-1203/density", "value": 2.1, "quality": "good", "at": 1233.5}],
              "rule": "", "crc": "0c5f7a34", "when": {"above": {"point": "smoke-1203/density", "limit": 5.0, "hysteresis": 0.0}}},
 "marks": ["first_out"], "simulated": true}"""

PACK_TEXT = """\
SenML JSON. `bn` is `<gateway>/<device>/` and is given anew, with `bt` (wall time of the scan), before the first value of each scan. A usable value:
`{"n":"density","u":"%/m","v":7.5}` (numbers `v`, booleans `vb`, texts and enumerations `vs`). An UNCERTAIN value comes with a second record
`{"n":"density/quality","vs":"out_of_range"}`. A BAD point has no record of its own name, only `{"n":"density/quality","vs":"not_responding"}`."""

STATUS_EXAMPLE = """\
{"online": true, "version": "0.1.0", "boot": "…", "run": "…", "since": "2026-11-22T00:20:00Z", "simulated": true}"""

RECEIPT_EXAMPLE = """\
{"alarms": ["demo-01/alarm/3f9a2c11.7be0/57"], "telemetry": {"journal": "a01b44cd", "position": 1234}}"""

RECEIPT_TEXT = """\
Either key may be missing. `alarms`: each record of the alarm lane, at once, again for a duplicate. `telemetry`: every few seconds, and sooner once
100 new records are there: the highest sequence of that journal up to which everything is stored, named by a gap record or passed over by a `follows`.
What has no receipt is sent again with the same id: alarms every 30 s and on each new connection; telemetry from the position, on each new connection
and when the position does not move for 30 s. A gateway sends at most 200 telemetry records beyond the position. A receipt is at most 64 KiB and never
retained; ids that the gateway does not wait for are ignored."""
