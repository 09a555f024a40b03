-- What people did and which configuration was put in force, each line sealed with all before it (imd/store/audit.py).

CREATE TABLE audit (
    seq  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    line BLOB NOT NULL,
    seal BLOB NOT NULL
) STRICT;
