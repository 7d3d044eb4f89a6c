package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// TestExampleOfTheProfiles reads the group file of docs/profiles.md, which stands
// there and beside it.
func TestExampleOfTheProfiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "docs", "examples", "profiles")
	text, err := os.ReadFile(filepath.Join(dir, "group.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "..", "..", "profiles.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```yaml\n"+string(text)+"```") {
		t.Error("docs/profiles.md shows another file")
	}
	group := parseIn(t, dir)
	web := group.Subsystems["market-app"].Clients["web"]
	if web.PAR != registry.PARRequired || web.JAR != registry.JARRequired || web.SenderConstraint != registry.ConstraintDPoP || web.IDTokenAlg != "ES256" {
		t.Errorf("the profile decided %+v", web)
	}
}

// parseIn reads the group file of a directory.
func parseIn(t *testing.T, dir string) *registry.Group {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "group.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	group, err := registry.Parse("group.yaml", text, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) })
	if err != nil {
		t.Fatal(err)
	}
	return group
}
