-- What each receiver's channel must know to go on about an incident (a message's name, its thread): JSON that only the
-- channel reads. Written in the transaction that settles the delivery; goes with its incident.

CREATE TABLE conversation (
    incident     TEXT NOT NULL,
    receiver     TEXT NOT NULL,
    conversation BLOB NOT NULL,
    PRIMARY KEY (incident, receiver)
) STRICT, WITHOUT ROWID;
