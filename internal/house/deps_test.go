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
	"./cmd/sekisho": {},
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
