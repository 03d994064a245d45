"""At the end, when all has healed: is everything where it must be? Reads the district's tables and the gateway's file.

Every function gives findings in words; none means that nothing is wrong. It shares no code with the gateway.
"""

import json
from bisect import bisect_right
from collections import defaultdict

import apsw

TRANSITION, RUN = "gengfu.alarm.transition", "gengfu.event.run"
SUDDEN = ("kill", "cut")
PERIOD_SHARE = 0.1
POLLS_HUNDREDTHS = 12
"""All groups of one device take about so long on a line of 9600 baud, in hundredths of a second."""
UNDER_WAY_S = 8.0
"""The longest that telemetry is gathered, and a way to the district."""
AFTER_S = 0.02
"""A claim is held against what was said up to this long after it."""
BEFORE_END_S = 0.2
"""What was shown so shortly before a kill may not have reached the disk."""


class Said:
    """One record of the alarm lane."""

    __slots__ = ("at", "body", "id", "kind", "life", "run", "sequence")

    def __init__(self, id, run, sequence, kind, at, body):
        self.id, self.run, self.sequence, self.kind, self.at, self.body = id, run, sequence, kind, at, body
        self.life = 0


def all_said(store, journal, boots, gateway):
    """Everything in the district and in the gateway's alarm journal, each record once, by id."""
    said = {}
    db = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    for row in db.execute(
        "SELECT id, run, sequence, type, boot, monotonic, body FROM record WHERE lane = 'alarm' ORDER BY sequence"
    ):
        said[row[0]] = Said(*row[:4], boots[row[4]] + row[5], row[6])
    db.close()
    for id, run, sequence, kind, boot, at, body in rows_of(journal, gateway, "alarm"):
        said.setdefault(id, Said(id, run, sequence, kind, boots[boot] + at, body))
    return said


def rows_of(path, gateway, lane):
    """(id, run, sequence, kind, boot, at, body) of a journal file."""
    if not path.is_file():
        return []
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    rows = db.execute("SELECT journal, run, sequence, kind, boot, at, body FROM record ORDER BY sequence").fetchall()
    db.close()
    return [(f"{gateway}/{lane}/{row[0]}.{row[1]}/{row[2]}", *row[1:]) for row in rows]


def lives_of(said, lives):
    """Give each record its life, by the run's own start."""
    starts = [life[0] for life in lives]
    of_run = {}
    for one in said:
        if one.kind == RUN:
            of_run[one.run] = bisect_right(starts, one.at + 1e-3) - 1
    for one in said:
        if one.run not in of_run:
            of_run[one.run] = bisect_right(starts, one.at + 1e-3) - 1
        one.life = of_run[one.run]
    return sorted(said, key=lambda one: (one.life, one.sequence))


class Story:
    """What was said of one alarm, in order: (life, at, is it there or None: not known, after)."""

    def __init__(self):
        self.steps = []

    def at(self, life, when):
        """What held then."""
        held = None
        for one_life, at, there in self.steps:
            if one_life > life or (one_life == life and at > when + AFTER_S):
                break
            held = there
        return held


def stories(said):
    told = defaultdict(Story)
    for one in said:
        if one.kind == RUN:
            standing = set(json.loads(one.body)["alarms"])
            for alarm, story in told.items():
                there = story.steps[-1][2] if story.steps else False
                story.steps.append((one.life, one.at, there if alarm in standing else False))
            for alarm in standing - told.keys():
                told[alarm].steps.append((one.life, one.at, None))
        elif one.kind == TRANSITION:
            body = json.loads(one.body)
            told[body["alarm"]].steps.append((one.life, one.at, body["present"]))
    return told


def claims_hold(claims, said, lives):
    """`lives`: (began, ended, how, since when its disk was ill at the end, whether it was at the start). A claim just before a sudden end, or while the disk was ill before one, may
    be lost with the process."""
    told = stories(said)
    starts = [life[0] for life in lives]
    findings = []
    for claim in claims:
        life = bisect_right(starts, claim.at) - 1
        _, ended, how, ill_since, _ = lives[life]
        sudden = how in SUDDEN
        if claim.at > ended - BEFORE_END_S or (sudden and ill_since is not None and claim.at >= ill_since - 1.0):
            continue
        held = told[claim.alarm].at(life, claim.at) if claim.alarm in told else False
        if held is None:
            continue
        if bool(held) is not claim.there:
            findings.append(
                f"{claim.alarm} at {claim.at:.3f} must {'be there' if claim.there else 'be over'}, in life {life} ({how})"
            )
    return findings


def chains(said, lives):
    """Each transition begins where the one before ended. Across a sudden end with an ill disk something may be
    lost, and a start on a disk that cannot be read knows nothing of what was."""
    findings, state = [], {}
    broken = {index + 1 for index, life in enumerate(lives) if life[2] in SUDDEN and life[3] is not None}
    broken |= {index for index, life in enumerate(lives) if life[4]}
    last_life = {}
    for one in said:
        if one.kind != TRANSITION:
            continue
        body = json.loads(one.body)
        alarm = body["alarm"]
        before = state.get(alarm, "normal")
        crossed = any(life in broken for life in range(last_life.get(alarm, 0) + 1, one.life + 1))
        if body["before"] != before and not crossed:
            findings.append(f"{one.id}: {alarm} left {body['before']}, but it was {before}")
        state[alarm], last_life[alarm] = body["after"], one.life
    return findings


def district(store):
    """Its own view of holes, contents and flaws."""
    db = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    findings = [
        f"missing and named by nobody: {row}" for row in db.execute("SELECT lane, journal, first, last FROM lost")
    ]
    findings += [f"rejected: {row}" for row in db.execute("SELECT topic, reason FROM rejected LIMIT 5")]
    findings += [f"flaw: {row}" for row in db.execute("SELECT id, flaw FROM record WHERE flaw IS NOT NULL LIMIT 5")]
    findings += [f"chain: {row}" for row in db.execute("SELECT id FROM record WHERE chain = 'broken' LIMIT 5")]
    db.close()
    return findings


def uncounted(store):
    """Numbers that never came, and that no gap record names: a drop that nobody counted."""
    db = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    named = defaultdict(list)
    for journal, body in db.execute(
        "SELECT journal, body FROM record WHERE type IN ('gengfu.event.gap', 'gengfu.telemetry.gap')"
    ):
        gap = json.loads(body)
        named[journal].append((gap["first"], gap["last"]))
    passed = db.execute(
        "SELECT lane, journal, first, last FROM gap WHERE state IN ('passed', 'open') AND last - first + 1 > (SELECT"
        " count(DISTINCT sequence) FROM record WHERE record.lane = gap.lane AND record.journal = gap.journal"
        " AND sequence BETWEEN first AND last)"  # what the broker refused may come late
    ).fetchall()
    db.close()
    return [
        f"dropped and never counted: {lane} {journal} {first}..{last}"
        for lane, journal, first, last in passed
        if not any(low <= first and last <= high for low, high in named[journal])
    ][:5]


def delivered(store, path, gateway, lane, boots, until):
    """Every record of the journal is in the district, but for what was only just read at the end."""
    db = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    there = {row[0] for row in db.execute("SELECT id FROM record WHERE lane = ?", (lane,))}
    db.close()
    rows = [row for row in rows_of(path, gateway, lane) if boots[row[4]] + row[5] < until - UNDER_WAY_S]
    return [f"never delivered: {row[0]}" for row in rows if row[0] not in there][:5]


def dated(store, boots, truth, within_s=1.0):
    """R19: what a reader of the district's view takes for the time of a record."""
    db = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    findings = []
    for id, boot, monotonic, wall in db.execute(
        "SELECT id, boot, monotonic, wall FROM dated WHERE dated_by != 'nobody'"
    ):
        error_s = wall - (truth + boots[boot] + monotonic)
        if abs(error_s) > within_s:
            findings.append(f"{id} is dated {error_s:+.3f} s from the truth")
            if len(findings) == 5:
                break
    db.close()
    return findings


def in_order(spans):
    """Packs of one device in the order of their numbers are in the order of time."""
    findings = []
    for (journal, device), (sequences, firsts, lasts) in spans.items():
        before, number = float("-inf"), 0
        for index in sorted(range(len(sequences)), key=sequences.__getitem__):
            if firsts[index] < before - 0.002:
                findings.append(f"{device}: pack {journal}/{sequences[index]} is older than {number}")
            before, number = lasts[index], sequences[index]
    return findings[:5]


def periods(counted, neighbours):
    """Devices on lines without a fault are asked at their period, whatever happens elsewhere. `neighbours(device)`: how
    many share its line, each of which may go before it."""
    findings = []
    for (device, request), distances in counted.items():
        total = sum(distances.values())
        if total < 30:
            continue
        usual = sum(distance * count for distance, count in distances.items()) / total
        allowed = PERIOD_SHARE * usual + POLLS_HUNDREDTHS * neighbours(device)
        off = sum(count for distance, count in distances.items() if abs(distance - usual) > allowed)
        if off > max(2, total // 100):
            findings.append(
                f"{device}: {off} of {total} requests {request.hex()} off the period of {usual / 100:.2f} s"
            )
    return findings


def transitions(said):
    """(alarm, before, after, when) in order, without those of the gateway itself and those that a person or time caused."""
    found = []
    for one in said:
        if one.kind == TRANSITION:
            body = json.loads(one.body)
            if not body["alarm"].startswith("gateway/"):
                found.append((body["alarm"], body["before"], body["after"], round(one.at, 3)))
    return found
