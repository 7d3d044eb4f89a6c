-- +goose Up
-- Letters to people that wait to be sent. What they say is sealed: it has links that
-- prove who has read them.
CREATE TABLE mail (
    id            TEXT    NOT NULL PRIMARY KEY,
    sealed        BYTEA   NOT NULL,
    attempts      INTEGER NOT NULL,
    next_at       BIGINT  NOT NULL,
    claimed_until BIGINT  NOT NULL,
    created_at    BIGINT  NOT NULL
);
CREATE INDEX mail_next ON mail (next_at);

-- +goose Down
DROP TABLE mail;
