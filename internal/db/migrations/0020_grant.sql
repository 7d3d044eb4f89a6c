-- +goose Up
-- Where a person signed in, for the list of their sessions: what the browser says it
-- is, and the address it came from. NULL in rows of an earlier version.
ALTER TABLE session ADD COLUMN agent TEXT;
ALTER TABLE session ADD COLUMN source TEXT;

-- +goose Down
ALTER TABLE session DROP COLUMN source;
ALTER TABLE session DROP COLUMN agent;
