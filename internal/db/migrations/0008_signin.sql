-- +goose Up
-- An authorization request while a person signs in or consents. It belongs to
-- one browser and is gone when it is answered.
CREATE TABLE signin_request (
    handle     BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of what the page's URL holds
    browser    BYTEA  NOT NULL,             -- SHA-256 of the browser's cookie
    request    TEXT   NOT NULL,             -- JSON
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX signin_request_browser ON signin_request (browser, created_at);
CREATE INDEX signin_request_expires ON signin_request (expires_at);

-- +goose Down
DROP TABLE signin_request;
