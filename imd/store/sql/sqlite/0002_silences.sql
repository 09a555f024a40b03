-- Silences, and the pause among them. Ended ones are kept a while: what was muted when stays on record.

CREATE TABLE silence (
    id      TEXT NOT NULL PRIMARY KEY,
    ends_at INTEGER NOT NULL,
    record  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
