package house_test

import (
	"slices"
	"strings"
	"testing"
)

// floors says on which floor each package stands. Imports go down only: never
// up, never across. A new package gets a line here and a reason in the commit.
// Do not change this table to make a build pass.
var floors = map[string]int{
	"cmd/sekisho": 8,

	"internal/app": 7,

	"internal/signin":       6,
	"internal/token":        6,
	"internal/subjects":     6,
	"internal/courier":      6,
	"internal/registration": 6,

	"internal/mint": 5,

	"internal/grant":    4,
	"internal/pairwise": 4,
	"internal/upstream": 4, // asks the registry for providers, and names people as account does

	"internal/account":  3,
	"internal/registry": 3,
	"internal/keyring":  3,

	"internal/audit":  2,
	"internal/web":    2,
	"internal/outbox": 2,
	"internal/mail":   2,

	"internal/db":         1,
	"internal/secret":     1,
	"internal/jose":       1,
	"internal/appendjson": 1,
	"internal/dpop":       1,
	"internal/rar":        1,

	"oauth":               0,
	"internal/outgoing":   0,
	"internal/clientcert": 0,
	"internal/tracing":    0,
}

// across lists the few imports within one floor, each with its reason.
var across = map[[2]string]string{
	{"internal/web", "internal/audit"}: "the error writer answers 503 for audit.ErrUnavailable",
}

// outside are the packages that stand beside the house and see only its public
// side: what each may import of ours.
var outside = map[string][]string{
	"sdk/rp":                  {"oauth", "internal/dpop", "sdk/internal/issuer", "sdk/internal/cache"},
	"sdk/rs":                  {"oauth", "internal/dpop", "internal/clientcert", "sdk/rp", "sdk/internal/issuer", "sdk/internal/cache", "sdk/internal/tracing"},
	"sdk/event":               {"oauth", "sdk/rp", "sdk/rs", "sdk/internal/issuer", "sdk/internal/cache", "internal/outgoing"},
	"sdk/internal/issuer":     {"oauth", "sdk/internal/tracing"}, // metadata and keys, for both sides
	"sdk/internal/tracing":    {},
	"sdk/internal/cache":      {},
	"sdk/internal/issuertest": {"oauth", "internal/clocktest"},
	"demo":                    {"oauth", "sdk/event", "sdk/rp", "sdk/rs"},
	"internal/house":          {},
	"internal/clocktest":      {},
	"internal/dbtest":         {"internal/db"},
	"internal/postgrestest":   {},
	"internal/tracetest":      {},
	"internal/passkeytest":    {},
	"internal/walk":           {}, // tests alone, which see everything
	"e2e":                     {},
	"faultlab":                {"oauth", "internal/app", "internal/account", "internal/audit", "internal/db", "internal/outbox", "internal/secret", "internal/postgrestest", "faultlab/load"}, // prepares and reads the database as an operator does
	"faultlab/load":           {},
}

func TestImportsGoDownOnly(t *testing.T) {
	t.Parallel()
	for _, file := range readSource(t) {
		allowed, isOutside := outside[file.pkg]
		floor, isInside := floors[file.pkg]
		if !isOutside && !isInside {
			t.Errorf("%s: package %s has no floor", file.path, file.pkg)
			continue
		}
		for _, imported := range file.imports {
			switch {
			case isOutside:
				if !slices.Contains(allowed, imported) {
					t.Errorf("%s: %s sees only the public side %v, not %s", file.path, file.pkg, allowed, imported)
				}
			case file.pkg == "cmd/sekisho" && imported == "demo":
				// the command starts the example group
			case strings.HasPrefix(imported, "sdk/"), imported == "demo":
				t.Errorf("%s: the server does not import %s", file.path, imported)
			case floors[imported] >= floor && across[[2]string{file.pkg, imported}] == "":
				t.Errorf("%s: %s (floor %d) imports %s (floor %d)", file.path, file.pkg, floor, imported, floors[imported])
			}
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, file := range readSource(t) {
		documented[file.pkg] = documented[file.pkg] || strings.HasSuffix(file.path, "/doc.go")
	}
	for pkg, ok := range documented {
		if !ok && pkg != "cmd/sekisho" {
			t.Errorf("package %s has no doc.go", pkg)
		}
	}
}
