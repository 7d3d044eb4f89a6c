-- +goose Up
-- A person. pid is the random handle that pairwise subjects are made of; it is
-- never shown, logged or exported. A deleted person has no row.
CREATE TABLE account (
    id         TEXT    NOT NULL PRIMARY KEY,
    pid        BYTEA   NOT NULL,
    pid_gen    INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    profile    TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE UNIQUE INDEX account_pid ON account (pid);
CREATE INDEX account_state ON account (state);

-- What a person signs in with. value is the one form that all spellings share,
-- spelling is how the person writes it.
CREATE TABLE account_identifier (
    kind        TEXT   NOT NULL,
    value       TEXT   NOT NULL,
    spelling    TEXT   NOT NULL,
    account_id  TEXT   NOT NULL,
    verified_at BIGINT,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (kind, value)
);
CREATE INDEX account_identifier_account ON account_identifier (account_id, kind);

CREATE TABLE password (
    account_id TEXT   NOT NULL PRIMARY KEY,
    phc        TEXT   NOT NULL,
    changed_at BIGINT NOT NULL
);

-- Failures in a row, of an account, of a name nobody has, of a known device, or
-- of the network that attempts come from.
CREATE TABLE throttle (
    kind       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    failures   INTEGER NOT NULL,
    not_before BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX throttle_expires ON throttle (expires_at);

-- Fingerprints of the handles of disabled and deleted people. Each entry takes
-- the next number of the count, whose row is held to the end of the transaction,
-- so that entries become visible in the order of seq.
CREATE TABLE account_gone (
    fingerprint BIGINT NOT NULL PRIMARY KEY,
    seq         BIGINT NOT NULL
);
CREATE INDEX account_gone_seq ON account_gone (seq);

CREATE TABLE account_gone_count (
    name TEXT   NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);

-- +goose Down
DROP TABLE account_gone_count;
DROP TABLE account_gone;
DROP TABLE throttle;
DROP TABLE password;
DROP TABLE account_identifier;
DROP TABLE account;
