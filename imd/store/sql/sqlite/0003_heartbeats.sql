-- When each heartbeat last came. One row per heartbeat and combination of its `by` values (JSON of pairs).

CREATE TABLE heartbeat (
    name   TEXT NOT NULL,
    by     TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (name, by)
) STRICT, WITHOUT ROWID;
