-- +goose Up
-- The realm: one row, made at the first start, never changed. Identifiers of
-- people hang on it.
CREATE TABLE realm (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    id  TEXT   NOT NULL
);

-- One row per sector, never changed or deleted: it outlives its subsystem.
CREATE TABLE sector (
    name       TEXT   NOT NULL PRIMARY KEY,
    id         TEXT   NOT NULL UNIQUE,
    gen        BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The group as it was applied, whole documents; the newest one holds.
CREATE TABLE registry_revision (
    id         BIGINT NOT NULL PRIMARY KEY,
    document   TEXT   NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT   NOT NULL
);

-- +goose Down
DROP TABLE registry_revision;
DROP TABLE sector;
DROP TABLE realm;
