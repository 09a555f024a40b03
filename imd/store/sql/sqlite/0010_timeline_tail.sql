-- The newest lines of all timelines, in the order in which they came: neighbours share a page, where each incident's own
-- place in `timeline` is a page of its own. From here they go there together, sorted, some thousand at a time
-- (sqlite_rows.file_lines). A line is in either; where one was written again it is the later one that counts.

CREATE TABLE timeline_tail (
    place    INTEGER PRIMARY KEY,
    incident TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    record   BLOB NOT NULL
) STRICT;
