-- +goose Up
-- What was decided, by whom and about whom. Rows are only added, and removed
-- when they are old. An id begins with its time, so ids are in order of time.
CREATE TABLE audit_record (
    id         TEXT   NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    event      TEXT   NOT NULL,
    outcome    TEXT   NOT NULL,
    client_id  TEXT   NOT NULL,
    account_id TEXT   NOT NULL,
    grant_id   BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    source     TEXT   NOT NULL,
    request    TEXT   NOT NULL,
    detail     TEXT   NOT NULL
);
CREATE INDEX audit_record_account ON audit_record (account_id, id) WHERE account_id <> '';

-- +goose Down
DROP TABLE audit_record;
