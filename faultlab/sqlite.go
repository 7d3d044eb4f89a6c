package main

import (
	"database/sql"
	"fmt"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// checkIntegrity has SQLite look through its file.
func (l *lab) checkIntegrity() error {
	file, err := sql.Open("sqlite", l.database)
	if err != nil {
		return err
	}
	defer file.Close()
	var said string
	if err := file.QueryRowContext(l.ctx, "PRAGMA integrity_check").Scan(&said); err != nil {
		return fmt.Errorf("integrity_check: %w", err)
	}
	if said != "ok" {
		l.report.violation("integrity_check: %s", said)
	}
	return nil
}
