package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// TestFaults reads group files that are wrong. Each is NAME.yaml in
// testdata/faults.txtar, and what is said of it is NAME.txt.
func TestFaults(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "faults.txtar")
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		group, want := archive.Files[i], &archive.Files[i+1]
		name := strings.TrimSuffix(group.Name, ".yaml")
		if want.Name != name+".txt" {
			t.Fatalf("%s.yaml is followed by %s, want %s.txt", name, want.Name, name)
		}
		_, err := registry.Parse("group.yaml", group.Data, files)
		var faults registry.Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Errorf("%s: error is %v, want faults", name, err)
			continue
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 {
				t.Errorf("%s: no place: %s", name, fault)
			}
			if fault.Hint == "" {
				t.Errorf("%s: no hint: %s", name, fault)
			}
		}
		got := err.Error() + "\n"
		if *update {
			want.Data = []byte(got)
		}
		if diff := cmp.Diff(string(want.Data), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
