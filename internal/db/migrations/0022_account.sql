-- +goose Up
-- Links that letters hold: by their hash, one of a kind for each person.
CREATE TABLE account_link (
    hash       BYTEA  NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    account_id TEXT   NOT NULL,
    email      TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX account_link_account ON account_link (account_id, kind);
CREATE INDEX account_link_expires ON account_link (expires_at);

-- +goose Down
DROP TABLE account_link;
