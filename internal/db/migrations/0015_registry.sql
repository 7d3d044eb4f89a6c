-- +goose Up
-- Client assertions that were used, until they expire: id is a digest of client
-- and jti.
CREATE TABLE used_assertion (
    id         BYTEA  NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_assertion_expiry ON used_assertion (expires_at);

-- +goose Down
DROP TABLE used_assertion;
