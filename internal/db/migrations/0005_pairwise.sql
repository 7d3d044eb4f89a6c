-- +goose Up
-- One key generation of pairwise subjects: the half of its key that is kept
-- here, and a value that only the right other half gives.
CREATE TABLE pairwise_generation (
    gen         INTEGER NOT NULL PRIMARY KEY,
    salt        BYTEA   NOT NULL,
    check_value BYTEA   NOT NULL,
    created_at  BIGINT  NOT NULL
);

-- +goose Down
DROP TABLE pairwise_generation;
