-- +goose Up
-- Browsers that need no code of the app: those that were remembered after this time.
ALTER TABLE totp ADD COLUMN trust_since BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE totp DROP COLUMN trust_since;
