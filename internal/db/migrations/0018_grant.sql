-- +goose Up
-- What a client may do with a scope, down to the amount (RFC 9396): JSON, or NULL
-- for none, and in rows of an earlier version.
ALTER TABLE access_grant ADD COLUMN authorization_details TEXT;

-- +goose Down
ALTER TABLE access_grant DROP COLUMN authorization_details;
