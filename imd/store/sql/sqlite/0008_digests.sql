-- Each receiver's record of digests: how many pages it has had lately, and when the next digest leaves.

CREATE TABLE digests (
    receiver TEXT NOT NULL PRIMARY KEY,
    record   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
