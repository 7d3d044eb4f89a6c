-- +goose Up
-- One row per topic; version counts the committed changes.
CREATE TABLE feed (
    topic   TEXT   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);

-- +goose Down
DROP TABLE feed;
