-- The first schema. Instants are microseconds since 1970; every `record` is CRC-32 and msgpack (imd/store/record.py).

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per episode. held: the engine has it in memory and wants it back at a start.
CREATE TABLE alert (
    id       INTEGER PRIMARY KEY,
    held     INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    incident TEXT NOT NULL,
    record   BLOB NOT NULL
) STRICT;
CREATE INDEX alert_by_incident ON alert (incident) WHERE incident <> '';
CREATE INDEX alert_held ON alert (id) WHERE held = 1;

-- What repeats move, apart from the alert so that a flush of 100,000 touches small rows. Where present, newer than the
-- alert's own record.
CREATE TABLE alert_seen (
    id     INTEGER PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;
CREATE TABLE alert_words (
    id     INTEGER PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE incident (
    number    INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    held      INTEGER NOT NULL,
    state     TEXT NOT NULL,
    priority  TEXT NOT NULL,
    rule      TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    over_at   INTEGER,
    record    BLOB NOT NULL
) STRICT;
CREATE INDEX incident_held ON incident (number) WHERE held = 1;
CREATE INDEX incident_over ON incident (over_at) WHERE over_at IS NOT NULL;

CREATE TABLE timeline (
    incident TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    record   BLOB NOT NULL,
    PRIMARY KEY (incident, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
    seq             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    incident        TEXT NOT NULL,
    receiver        TEXT NOT NULL,
    kind            TEXT NOT NULL,
    state           TEXT NOT NULL DEFAULT 'pending',
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER,
    ambiguous       INTEGER NOT NULL DEFAULT 0,
    cancelled       INTEGER NOT NULL DEFAULT 0,
    error           TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    settled_at      INTEGER,
    record          BLOB NOT NULL
) STRICT;
CREATE INDEX delivery_by_incident ON delivery (incident);
CREATE INDEX delivery_pending ON delivery (seq) WHERE state = 'pending';

CREATE TABLE journal (
    seq  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    line BLOB NOT NULL
) STRICT;

CREATE TABLE rejected (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    source  TEXT NOT NULL,
    part    INTEGER NOT NULL,
    error   TEXT NOT NULL,
    excerpt TEXT NOT NULL
) STRICT;
