package registry_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/registry"
)

var update = flag.Bool("update", false, "write golden files anew")

// files reads what a group file names, beside the examples.
func files(path string) ([]byte, error) { return os.ReadFile(filepath.Join("testdata", path)) }

// example is the group of testdata/group.yaml.
func example(t testing.TB) *registry.Group {
	t.Helper()
	return parse(t, read(t, "group.yaml"))
}

// parse reads a group file that is right.
func parse(t testing.TB, data []byte) *registry.Group {
	t.Helper()
	group, err := registry.Parse("group.yaml", data, files)
	if err != nil {
		t.Fatalf("group file:\n%v", err)
	}
	return group
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, name)), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}
