-- +goose Up
-- The thumbprint of the key that a code or a refresh token is bound to; NULL for
-- none, and in rows of an earlier version.
ALTER TABLE authorization_code ADD COLUMN bound_key TEXT;
ALTER TABLE refresh_family ADD COLUMN bound_key TEXT;

-- +goose Down
ALTER TABLE refresh_family DROP COLUMN bound_key;
ALTER TABLE authorization_code DROP COLUMN bound_key;
