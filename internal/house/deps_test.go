package house_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// linked lists the foreign modules that may be linked into what we ship, each
// with the need it serves. A statement of policy: do not change this data to
// fix a build.
var linked = map[string]map[string]string{
	"./cmd/sekisho": {
		"github.com/alecthomas/kong":          "command line",
		"github.com/beorn7/perks":             "of client_golang",
		"github.com/cespare/xxhash/v2":        "of client_golang",
		"github.com/dustin/go-humanize":       "of modernc.org/libc",
		"github.com/go-jose/go-jose/v4":       "JOSE of others' tokens and keys",
		"github.com/goccy/go-yaml":            "the group file, with positions",
		"github.com/google/uuid":              "of modernc.org/libc",
		"github.com/jackc/pgpassfile":         "of pgx",
		"github.com/jackc/pgservicefile":      "of pgx",
		"github.com/jackc/pgx/v5":             "PostgreSQL",
		"github.com/jackc/puddle/v2":          "of pgx",
		"github.com/mfridman/interpolate":     "of goose",
		"github.com/munnerz/goautoneg":        "of client_golang",
		"github.com/pressly/goose/v3":         "migrations",
		"github.com/prometheus/client_golang": "metrics",
		"github.com/prometheus/client_model":  "of client_golang",
		"github.com/prometheus/common":        "of client_golang",
		"github.com/prometheus/procfs":        "of client_golang",
		"github.com/remyoudompheng/bigfft":    "of modernc.org/mathutil",
		"github.com/sethvargo/go-retry":       "of goose",
		"go.uber.org/multierr":                "of goose",
		"golang.org/x/crypto":                 "argon2id, bcrypt of imported passwords",
		"golang.org/x/net":                    "HTML parser of the example group's browser",
		"golang.org/x/oauth2":                 "of the SDK, in the example group",
		"golang.org/x/sync":                   "errgroup, semaphore",
		"golang.org/x/sys":                    "of many",
		"golang.org/x/text":                   "Unicode normal forms, languages",
		"golang.org/x/time":                   "rate limits",
		"google.golang.org/protobuf":          "of client_golang",
		"modernc.org/libc":                    "of sqlite",
		"modernc.org/mathutil":                "of sqlite",
		"modernc.org/memory":                  "of sqlite",
		"modernc.org/sqlite":                  "SQLite without cgo",
	},
	"./sdk/...": {
		"github.com/go-jose/go-jose/v4": "signed tokens and keys",
		"golang.org/x/oauth2":           "Token and TokenSource, the names Go programs know them by",
		"golang.org/x/sync":             "singleflight: many callers, one request",
	},
}

func TestLinkedModules(t *testing.T) {
	t.Parallel()
	for target, allowed := range linked {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			modules := linkedModules(t, target)
			for _, name := range modules {
				if allowed[name] == "" {
					t.Errorf("%s links %s, which is not on the list", target, name)
				}
			}
			for name := range allowed {
				if !slices.Contains(modules, name) {
					t.Errorf("%s no longer links %s: take it off the list", target, name)
				}
			}
		})
	}
}

func linkedModules(t *testing.T, target string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", target)
	command.Dir = repositoryRoot(t)
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	return slices.Compact(modules)
}
