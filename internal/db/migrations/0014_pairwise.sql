-- +goose Up
-- A generation is known to all processes before anybody is given it.
ALTER TABLE pairwise_generation ADD COLUMN active_from BIGINT NOT NULL DEFAULT 0;

-- A sector may be re-keyed: its gen changes. Until former_until, subjects of the
-- generation before are taken, too. 0: never re-keyed.
ALTER TABLE sector ADD COLUMN former_gen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sector ADD COLUMN former_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sector ADD COLUMN rekeyed_at BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE sector DROP COLUMN rekeyed_at;
ALTER TABLE sector DROP COLUMN former_until;
ALTER TABLE sector DROP COLUMN former_gen;
ALTER TABLE pairwise_generation DROP COLUMN active_from;
