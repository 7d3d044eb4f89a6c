-- +goose Up
-- What the platform must tell of, until it has been turned into deliveries. The
-- handle of a person stands here for that long.
CREATE TABLE outbox_happening (
    seq      BIGINT  NOT NULL PRIMARY KEY,
    type     TEXT    NOT NULL,
    handle   BYTEA   NOT NULL,
    gen      INTEGER NOT NULL,
    session  BYTEA,
    clients  TEXT    NOT NULL,
    known_to TEXT,
    payload  TEXT    NOT NULL,
    at       BIGINT  NOT NULL
);

-- One message for one stream. seq grows in the order of the commits. key names
-- the person within the stream: of the pending deliveries of a key only the
-- first has a due_at, the others wait behind it.
CREATE TABLE delivery (
    seq        BIGINT  NOT NULL PRIMARY KEY,
    stream     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    key        BYTEA   NOT NULL,
    sealed     BYTEA   NOT NULL,
    state      TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    due_at     BIGINT,
    created_at BIGINT  NOT NULL,
    settled_at BIGINT,
    fault      TEXT    NOT NULL
);
CREATE UNIQUE INDEX delivery_id ON delivery (stream, id);
CREATE INDEX delivery_pending ON delivery (stream, seq) WHERE state = 'pending';
CREATE INDEX delivery_due ON delivery (stream, due_at, seq) WHERE state = 'pending' AND due_at IS NOT NULL;
CREATE INDEX delivery_key ON delivery (stream, key, seq) WHERE state = 'pending';
CREATE INDEX delivery_dead ON delivery (stream, seq) WHERE state = 'dead';
CREATE INDEX delivery_settled ON delivery (settled_at, seq) WHERE state <> 'pending';

-- The last seq of happenings and of deliveries. Whoever takes a number, or
-- settles, holds the row to the end of the transaction.
CREATE TABLE delivery_count (
    name TEXT   NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO delivery_count (name, last) VALUES ('happening', 0), ('delivery', 0);

-- Which process sends what, until when.
CREATE TABLE delivery_lease (
    name   TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL
);

-- +goose Down
DROP TABLE delivery_lease;
DROP TABLE delivery_count;
DROP TABLE delivery;
DROP TABLE outbox_happening;
