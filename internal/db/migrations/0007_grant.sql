-- +goose Up
-- A browser's sign-in. auth_time is the last time the person proved who they
-- are; expires_at is the nearer of the idle and the absolute end.
CREATE TABLE session (
    id           BYTEA  NOT NULL PRIMARY KEY,
    cookie_hash  BYTEA  NOT NULL,
    account      TEXT   NOT NULL,
    acr          TEXT   NOT NULL,
    amr          TEXT   NOT NULL,
    auth_time    BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX session_cookie ON session (cookie_hash);
CREATE INDEX session_account ON session (account);
CREATE INDEX session_expires ON session (expires_at);

-- What a person allowed a third party's client at one resource, until it is
-- withdrawn.
CREATE TABLE consent (
    account    TEXT   NOT NULL,
    client     TEXT   NOT NULL,
    audience   TEXT   NOT NULL,
    handle     BYTEA  NOT NULL,
    scopes     TEXT   NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (account, client, audience)
);
CREATE INDEX consent_handle ON consent (handle);

-- What a client got. ended_at makes everything under it dead; expires_at is
-- when nothing under it can be alive any more and the row may go.
CREATE TABLE access_grant (
    id              BIGINT  NOT NULL PRIMARY KEY,
    account         TEXT    NOT NULL,
    handle          BYTEA   NOT NULL,
    client          TEXT    NOT NULL,
    session         BYTEA,
    offline         BOOLEAN NOT NULL,
    scopes          TEXT    NOT NULL,
    auth_time       BIGINT  NOT NULL,
    exact_auth_time BOOLEAN NOT NULL,
    acr             TEXT    NOT NULL,
    amr             TEXT    NOT NULL,
    nonce           TEXT    NOT NULL,
    claims          TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL,
    ended_at        BIGINT,
    ended_why       TEXT
);
CREATE INDEX access_grant_account ON access_grant (account, client);
CREATE INDEX access_grant_handle ON access_grant (handle);
CREATE INDEX access_grant_session ON access_grant (session) WHERE session IS NOT NULL;
CREATE INDEX access_grant_expires ON access_grant (expires_at);

-- The code of a grant, kept as long as the grant, so that a second use is
-- always known as one.
CREATE TABLE authorization_code (
    hash         BYTEA  NOT NULL PRIMARY KEY,
    grant_id     BIGINT NOT NULL,
    redirect_uri TEXT   NOT NULL,
    challenge    TEXT   NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT
);
CREATE INDEX authorization_code_grant ON authorization_code (grant_id);

-- The refresh tokens of a grant. One row whatever their number: the newest
-- token, the one before it, and the newest sealed under a key that only the
-- one before it gives. ends_at never moves.
CREATE TABLE refresh_family (
    id             BYTEA   NOT NULL PRIMARY KEY,
    grant_id       BIGINT  NOT NULL,
    newest_hash    BYTEA   NOT NULL,
    previous_hash  BYTEA,
    sealed_newest  BYTEA,
    rotated_at     BIGINT,
    repeats        INTEGER NOT NULL,
    expires_at     BIGINT  NOT NULL,
    ends_at        BIGINT  NOT NULL
);
CREATE UNIQUE INDEX refresh_family_grant ON refresh_family (grant_id);

-- What ended while an access token of it may still be alive. seq grows in the
-- order of the commits, so that a process loads only what it has not seen.
CREATE TABLE revocation (
    id         BYTEA  NOT NULL PRIMARY KEY,
    seq        BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revocation_seq ON revocation (seq);
CREATE INDEX revocation_expires ON revocation (expires_at);

CREATE TABLE revocation_count (
    one  INTEGER NOT NULL PRIMARY KEY,
    last BIGINT  NOT NULL
);
INSERT INTO revocation_count (one, last) VALUES (1, 0);

-- +goose Down
DROP TABLE revocation_count;
DROP TABLE revocation;
DROP TABLE refresh_family;
DROP TABLE authorization_code;
DROP TABLE access_grant;
DROP TABLE consent;
DROP TABLE session;
