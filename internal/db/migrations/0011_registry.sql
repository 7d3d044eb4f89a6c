-- +goose Up
-- What opens registration for one third party: the hash of an initial access
-- token. used_1 to used_5 are the last five times it was used, the oldest
-- first; 0 stands for never.
CREATE TABLE registration_token (
    hash       BYTEA  NOT NULL PRIMARY KEY,
    id         TEXT   NOT NULL UNIQUE,
    subsystem  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_1     BIGINT NOT NULL,
    used_2     BIGINT NOT NULL,
    used_3     BIGINT NOT NULL,
    used_4     BIGINT NOT NULL,
    used_5     BIGINT NOT NULL
);
CREATE INDEX registration_token_subsystem ON registration_token (subsystem);

-- A client that a third party registered itself: the same document as one of
-- the group file. access_hash is of its registration access token.
CREATE TABLE registered_client (
    id          TEXT   NOT NULL PRIMARY KEY,
    subsystem   TEXT   NOT NULL,
    document    TEXT   NOT NULL,
    access_hash BYTEA  NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX registered_client_subsystem ON registered_client (subsystem);

-- +goose Down
DROP TABLE registered_client;
DROP TABLE registration_token;
