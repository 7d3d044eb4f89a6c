-- +goose Up
-- Keys of people in their devices (WebAuthn). suspect marks one whose counter went
-- backwards, so that there may be two of it; it is not taken any more.
CREATE TABLE passkey (
    id              BYTEA   NOT NULL PRIMARY KEY,
    account_id      TEXT    NOT NULL,
    public_key      BYTEA   NOT NULL,
    sign_count      BIGINT  NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    suspect         BOOLEAN NOT NULL,
    transports      TEXT    NOT NULL,
    aaguid          BYTEA   NOT NULL,
    name            TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    used_at         BIGINT
);
CREATE INDEX passkey_account ON passkey (account_id, created_at);

-- Challenges that were answered, until they would have run out.
CREATE TABLE used_challenge (
    id         BYTEA  NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_challenge_expires ON used_challenge (expires_at);

-- Authenticator apps (RFC 6238). last_step is the newest time step whose code was
-- taken: none is taken twice.
CREATE TABLE totp (
    account_id TEXT   NOT NULL PRIMARY KEY,
    sealed     BYTEA  NOT NULL,
    last_step  BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE recovery_code (
    hash       BYTEA  NOT NULL PRIMARY KEY,
    account_id TEXT   NOT NULL,
    used_at    BIGINT
);
CREATE INDEX recovery_code_account ON recovery_code (account_id);

-- +goose Down
DROP TABLE recovery_code;
DROP TABLE totp;
DROP TABLE used_challenge;
DROP TABLE passkey;
