package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is a server with a fault that was put into it, to see that the programme
// finds it. The fault is an edit of the source for one build; the tree has none.
type mutant struct {
	name  string
	row   string // that has to find it
	edits []edit
}

// edit replaces a text that a file has once.
type edit struct{ file, old, new string }

var mutants = []mutant{
	{"a code is redeemed without its condition", "F2", []edit{
		{"internal/grant/code.go", "	if code.used {", "	if code.used && r.Code == \"\" {"},
		{"internal/grant/rows_grant.go", "WHERE hash = $2 AND used_at IS NULL", "WHERE hash = $2"},
	}},
	{"a token that is sent again gets another successor", "F2", []edit{
		{"internal/grant/refresh.go", "return repeat(family, r.Token)", "return g.rotate(family, r.Token, now)"},
	}},
	{"assertions are remembered in memory only", "F2", []edit{
		{"internal/registry/replay.go", "err != nil || client.OncePerReplica {", "err != nil || client.ID != \"\" {"},
	}},
	{"a revocation ends no access token", "F1", []edit{
		{"internal/grant/revoke.go", "	tx.Changed(topic)\n	return nil", "	return nil"},
	}},
	{"a revocation ends no refresh token", "F1", []edit{
		{"internal/grant/rows_grant.go", "WHERE ended_at IS NULL AND `+string(which)", "WHERE ended_at IS NULL AND 1 = 0 AND `+string(which)"},
	}},
	{"a database that is away is an internal error", "F5", []edit{
		{"internal/web/write.go", "return errors.Is(err, db.ErrUnavailable) ||", "return errors.Is(err, db.ErrConflict) ||"},
	}},
	{"a commit that is not confirmed counts as done", "F7", []edit{
		{"internal/db/db.go", "return &fault{kind: ErrUnavailable, cause: errCommitWait}", "return nil"},
	}},
	{"an old primary is as good as any", "F8", []edit{
		{"internal/db/postgres_fence.go", "	case f.newest.timeline > id.timeline:\n		return f.refuse(id, errOldPrimary)", "	case f.newest.timeline > id.timeline:\n		return nil"},
		{"internal/db/postgres_fence.go", "if ok && timeline < f.timeline() {", "if ok && timeline < 0 {"},
	}},
	{"each replica goes by its own clock", "F12", []edit{
		{"internal/db/postgres_server.go", "if skew.Abs() > skewNoise && skew.Abs() <= skewLimit {", "if skew.Abs() > skewNoise && skew.Abs() <= 0 {"},
	}},
	{"a batch of audit records is written twice or never", "F6", []edit{
		{"internal/audit/rows.go", " ON CONFLICT (id) DO NOTHING", ""},
	}},
}

// runMutants builds each mutant and runs its row in short, until a violation is
// found; several seeds, since chance has a part in it. With rows named, only those
// mutants are run that these have to find.
func runMutants(ctx context.Context, o options, only []string) int {
	const seeds = 3
	o.short = true
	code := 0
	for i := range mutants {
		m := &mutants[i]
		if len(only) > 0 && !slices.Contains(only, m.row) {
			continue
		}
		o.mutant = m
		found := false
		for seed := uint64(1); seed <= seeds && !found && ctx.Err() == nil; seed++ {
			o.seed = seed
			err := runRow(ctx, o, *rowNamed(m.row))
			found = errors.Is(err, errViolations)
			if err != nil && !found {
				fmt.Fprintf(os.Stderr, "faultlab: %s: %v\n", m.name, err)
			}
		}
		fmt.Printf("MUTANT %s, by %s: %s\n", m.name, m.row, map[bool]string{true: "found", false: "NOT FOUND"}[found])
		if !found {
			code = 1
		}
	}
	return code
}

// overlay writes the edited files into a directory, and the list of them that go
// build wants to have. root is that of the module.
func (m *mutant) overlay(root, dir string) (path string, err error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		file := filepath.Join(root, e.file)
		text, ok := texts[file]
		if !ok {
			read, err := os.ReadFile(file) //nolint:gosec // of our own source
			if err != nil {
				return "", err
			}
			text = string(read)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("mutant %q: %s has its text %d times", m.name, e.file, n)
		}
		texts[file] = strings.Replace(text, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for file, text := range texts {
		replace[file] = filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(file, root+"/"), "/", "_"))
		if err := os.WriteFile(replace[file], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}
