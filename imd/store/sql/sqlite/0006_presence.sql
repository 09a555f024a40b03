-- When imd was there to listen and when its sources spoke. One row.

CREATE TABLE presence (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    record BLOB NOT NULL
) STRICT;
