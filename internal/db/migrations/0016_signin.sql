-- +goose Up
-- An authorization request that a client has pushed (RFC 9126), checked already. It
-- may be begun with until expires_at, and is gone when it is answered.
CREATE TABLE pushed_request (
    handle     BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of the request_uri
    client     TEXT   NOT NULL,
    request    TEXT   NOT NULL,             -- JSON
    expires_at BIGINT NOT NULL
);
CREATE INDEX pushed_request_expires ON pushed_request (expires_at);

-- +goose Down
DROP TABLE pushed_request;
