package house_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	createTable = regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)`)
	namedTable  = regexp.MustCompile(`(?i)\b(?:FROM|INTO|UPDATE|JOIN)\s+([a-z_]+)`)
)

// TestTablesHaveOneOwner holds every SQL text of the server against the
// migrations: a table made by NNNN_owner.sql is named by internal/owner alone.
func TestTablesHaveOneOwner(t *testing.T) {
	t.Parallel()
	owners := tableOwners(t)
	if len(owners) == 0 {
		t.Fatal("no tables found in the migrations")
	}
	for _, file := range readSource(t) {
		if !strings.HasPrefix(file.pkg, "internal/") {
			continue
		}
		for _, text := range file.strings {
			for _, match := range namedTable.FindAllStringSubmatch(text, -1) {
				owner, known := owners[strings.ToLower(match[1])]
				if known && isSQL(text) && file.pkg != "internal/"+owner {
					t.Errorf("%s: names table %s, which belongs to internal/%s", file.path, match[1], owner)
				}
			}
		}
	}
}

func TestNoQueryTakesEveryColumn(t *testing.T) {
	t.Parallel()
	for _, file := range readSource(t) {
		for _, text := range file.strings {
			if isSQL(text) && strings.Contains(strings.ToUpper(text), "SELECT *") {
				t.Errorf("%s: list the columns, so that the next migration cannot break this query: %s", file.path, text)
			}
		}
	}
}

func isSQL(text string) bool {
	switch first, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(text)), " "); strings.TrimSpace(first) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
		return true
	}
	return false
}

func tableOwners(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repositoryRoot(t), "internal/db/migrations/*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, owner, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".sql"), "_")
		for _, match := range createTable.FindAllStringSubmatch(string(text), -1) {
			owners[strings.ToLower(match[1])] = owner
		}
	}
	return owners
}
