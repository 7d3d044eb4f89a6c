-- +goose Up
-- Private keys are sealed under the key-encryption key, which is never here.
CREATE TABLE signing_key (
    kid          TEXT   NOT NULL PRIMARY KEY,
    purpose      TEXT   NOT NULL,
    alg          TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    sealed       BYTEA  NOT NULL,
    created_at   BIGINT NOT NULL,
    current_from BIGINT NOT NULL, -- planned while next
    retired_at   BIGINT,
    remove_after BIGINT
);
-- At most one key of a purpose signs, and at most one waits to.
CREATE UNIQUE INDEX signing_key_in_line ON signing_key (purpose, state) WHERE state <> 'retired';

CREATE TABLE data_key (
    name       TEXT   NOT NULL PRIMARY KEY,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE data_key;
DROP TABLE signing_key;
