-- +goose Up
-- Where the events for one receiving client go. A client has one stream at
-- most. What is received is decided by the group of the moment, so requested
-- is only what the receiver asked for; empty means whatever it may have.
-- credential is the sealed Authorization header of a push. Times of 0 stand
-- for never; retry_at, failing_since and failures are how sending has gone.
CREATE TABLE event_stream (
    id            TEXT    NOT NULL PRIMARY KEY,
    client        TEXT    NOT NULL,
    receiver      TEXT    NOT NULL, -- subsystem
    method        TEXT    NOT NULL,
    endpoint      TEXT    NOT NULL,
    credential    BYTEA,
    requested     TEXT    NOT NULL, -- JSON list, or empty
    description   TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    verified_at   BIGINT  NOT NULL,
    retry_at      BIGINT  NOT NULL,
    failing_since BIGINT  NOT NULL,
    failures      INTEGER NOT NULL
);
CREATE UNIQUE INDEX event_stream_client ON event_stream (client);

-- People whom a receiver has taken off its stream. person is a hash over
-- stream and person, so that neither can be read from it.
CREATE TABLE event_stream_without (
    person BYTEA NOT NULL PRIMARY KEY,
    stream TEXT  NOT NULL
);
CREATE INDEX event_stream_without_stream ON event_stream_without (stream);

-- What publishers have handed in, as long as they may hand it in again: the
-- hash of the event's name, and that of what it said.
CREATE TABLE event_publication (
    publisher  TEXT   NOT NULL, -- subsystem
    event      BYTEA  NOT NULL,
    digest     BYTEA  NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (publisher, event)
);
CREATE INDEX event_publication_expires ON event_publication (expires_at);

-- +goose Down
DROP TABLE event_publication;
DROP TABLE event_stream_without;
DROP TABLE event_stream;
