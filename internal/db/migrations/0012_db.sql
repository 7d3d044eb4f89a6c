-- An installation that moves to another database: what becomes of this one, and
-- on the side where it arrives, how far each table has come.

-- +goose Up
CREATE TABLE installation_move (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id    TEXT    NOT NULL,
    state TEXT    NOT NULL CHECK (state IN ('leaving', 'left', 'arriving')),
    other TEXT    NOT NULL, -- the database it moves to or from, without a password
    at    BIGINT  NOT NULL
);

CREATE TABLE installation_move_table (
    name TEXT   NOT NULL PRIMARY KEY,
    done BIGINT NOT NULL, -- rows that have arrived
    last TEXT   NOT NULL  -- JSON list, key of the last of them
);

-- +goose Down
DROP TABLE installation_move_table;
DROP TABLE installation_move;
