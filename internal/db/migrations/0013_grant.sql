-- +goose Up
-- When the database was last restored from a backup: one row, or none. What may
-- be used once and was made before is void.
CREATE TABLE grant_restore (
    one         INTEGER NOT NULL PRIMARY KEY,
    restored_at BIGINT  NOT NULL
);

-- +goose Down
DROP TABLE grant_restore;
