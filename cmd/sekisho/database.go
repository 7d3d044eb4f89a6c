package main

import (
	"errors"
	"os"
	"strings"
)

// database says which database a command works on. The URL of a PostgreSQL holds
// a password, as a rule, and other users of a machine can read a command line.
type database struct {
	Database     string `env:"SEKISHO_DATABASE" placeholder:"DATABASE" help:"SQLite file, or postgres:// URL, of the installation (sekisho.db)."`
	DatabaseFile string `env:"SEKISHO_DATABASE_FILE" placeholder:"FILE" help:"File that holds the URL of the database, since there may be a password in it."`
}

const defaultDatabase = "sekisho.db"

// dsn is the database that is meant.
func (d database) dsn() (string, error) {
	switch {
	case d.DatabaseFile == "" && d.Database == "":
		return defaultDatabase, nil
	case d.DatabaseFile == "":
		return d.Database, nil
	case d.Database != "":
		return "", errors.New("database: --database and --database-file (SEKISHO_DATABASE, SEKISHO_DATABASE_FILE) are both set; keep one")
	}
	text, err := os.ReadFile(d.DatabaseFile)
	if err != nil {
		return "", err
	}
	dsn := strings.TrimSpace(string(text))
	if dsn == "" {
		return "", errors.New("database: the file of --database-file is empty")
	}
	return dsn, nil
}
