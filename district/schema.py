"""The district's tables, as SQL. Times are Unix seconds (REAL); `received_at` to the millisecond.

For readers: `dated` is every record with the wall time that is known of it today (`wall`; `dated_by` says how), `lost`
are the numbers that are missing and named by nobody, `alarm_state` and `value` are the latest of each alarm and point.
"""

VERSION = 1
APPLICATION_ID = 0x47656E67  # "Geng"

SCHEMA = """
CREATE TABLE record(
    id TEXT PRIMARY KEY,
    gateway TEXT NOT NULL,
    lane TEXT NOT NULL,
    journal TEXT NOT NULL,
    run TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    time REAL NOT NULL,            -- as the gateway said it
    boot TEXT NOT NULL,
    monotonic REAL NOT NULL,
    clock TEXT NOT NULL,           -- trusted or untrusted
    durable INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    previous TEXT,
    digest TEXT,
    chain TEXT,                    -- alarm lane: linked, open (the record before is not here), broken
    flaw TEXT,                     -- what is wrong with a record that was stored all the same
    received_at REAL NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX record_order ON record(gateway, lane, journal, sequence);
CREATE INDEX record_flaw ON record(gateway) WHERE flaw IS NOT NULL OR chain = 'broken';

CREATE TABLE journal(
    ordinal INTEGER PRIMARY KEY,   -- in the order in which they were first seen
    gateway TEXT NOT NULL,
    lane TEXT NOT NULL,
    journal TEXT NOT NULL,
    highest INTEGER NOT NULL,
    position INTEGER NOT NULL,     -- everything up to here is stored or named
    namings TEXT NOT NULL,         -- gap records not yet accounted for, JSON
    records INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    UNIQUE(gateway, lane, journal)
) STRICT;

CREATE TABLE gap(
    gateway TEXT NOT NULL,
    lane TEXT NOT NULL,
    journal TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    state TEXT NOT NULL,           -- open, filled, named (by a gap record), passed (by a follows)
    noticed_at REAL NOT NULL,
    closed_at REAL
) STRICT;
CREATE INDEX gap_open ON gap(gateway, lane, journal, state, first);

CREATE TABLE alarm_state(
    gateway TEXT NOT NULL,
    alarm TEXT NOT NULL,
    record TEXT NOT NULL,          -- its latest transition
    journal INTEGER NOT NULL,      -- ordinal, and
    sequence INTEGER NOT NULL,     -- which transition is the latest
    class TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    active INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    text_zh TEXT NOT NULL,
    text_en TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    time REAL NOT NULL,
    received_at REAL NOT NULL,
    PRIMARY KEY(gateway, alarm)
) STRICT, WITHOUT ROWID;

CREATE TABLE value(
    gateway TEXT NOT NULL,
    point TEXT NOT NULL,
    value ANY,                     -- NULL when the point is BAD
    unit TEXT NOT NULL,
    quality TEXT NOT NULL,
    time REAL NOT NULL,
    received_at REAL NOT NULL,
    journal INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY(gateway, point)
) STRICT, WITHOUT ROWID;

CREATE TABLE status(
    gateway TEXT PRIMARY KEY,
    online INTEGER NOT NULL,
    body TEXT NOT NULL,
    received_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE clock(
    gateway TEXT NOT NULL,
    boot TEXT NOT NULL,
    monotonic REAL NOT NULL,
    wall REAL NOT NULL,
    PRIMARY KEY(gateway, boot, monotonic)
) STRICT, WITHOUT ROWID;

CREATE TABLE rejected(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at REAL NOT NULL,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    attributes TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE VIEW dated AS
SELECT record.*,
    CASE WHEN clock = 'trusted' THEN time ELSE coalesce(
        (SELECT wall - clock.monotonic + record.monotonic FROM clock
         WHERE clock.gateway = record.gateway AND clock.boot = record.boot AND clock.monotonic >= record.monotonic
         ORDER BY clock.monotonic LIMIT 1), time) END AS wall,
    CASE WHEN clock = 'trusted' THEN 'gateway' WHEN EXISTS
        (SELECT 1 FROM clock WHERE clock.gateway = record.gateway AND clock.boot = record.boot
         AND clock.monotonic >= record.monotonic) THEN 'mapping' ELSE 'nobody' END AS dated_by
FROM record;

CREATE VIEW lost AS SELECT gateway, lane, journal, first, last, last - first + 1 AS records, noticed_at
FROM gap WHERE state = 'open';
"""

INSERT_RECORD = f"INSERT OR IGNORE INTO record VALUES({', '.join('?' * 19)}, 0)"

# A later copy may be durable by now; everything else must be the same.
REPEAT_RECORD = """
UPDATE record SET duplicates = duplicates + 1, durable = max(durable, ?)
WHERE id = ? AND type = ? AND time = ? AND boot = ? AND monotonic = ? AND clock = ? AND digest IS ? AND body = ?
"""

RECORDS_AT = """
SELECT id, previous, sequence, digest FROM record
WHERE gateway = ? AND lane = ? AND journal = ? AND sequence = ?
"""

# Of the same journal the greater number is the later one; of two journals the one that was seen later. The same number
# again is another run's, which came after.
UPSERT_ALARM = f"""
INSERT INTO alarm_state VALUES({", ".join("?" * 15)})
ON CONFLICT(gateway, alarm) DO UPDATE SET
    record = excluded.record, journal = excluded.journal, sequence = excluded.sequence, class = excluded.class,
    severity = excluded.severity, state = excluded.state, active = excluded.active,
    acknowledged = excluded.acknowledged, text_zh = excluded.text_zh, text_en = excluded.text_en,
    simulated = excluded.simulated, time = excluded.time, received_at = excluded.received_at
WHERE (excluded.journal, excluded.sequence) >= (alarm_state.journal, alarm_state.sequence)
"""

UPSERT_VALUE = """
INSERT INTO value VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(gateway, point) DO UPDATE SET
    value = excluded.value, unit = excluded.unit, quality = excluded.quality, time = excluded.time,
    received_at = excluded.received_at, journal = excluded.journal, sequence = excluded.sequence
WHERE (excluded.journal, excluded.sequence) >= (value.journal, value.sequence)
"""

# The newest stay.
PRUNE_GAPS = """
DELETE FROM gap WHERE state != 'open' AND rowid <= (SELECT max(rowid) FROM gap) - ?
"""
