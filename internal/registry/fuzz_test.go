package registry_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// FuzzParse holds that any file gives a group or faults with a place and a
// hint, and that a group it gives can be written, read, checked and linked.
func FuzzParse(f *testing.F) {
	f.Add(string(read(f, "group.yaml")))
	f.Add(string(read(f, "group.golden.json")))
	archive, err := txtar.ParseFile(filepath.Join("testdata", "faults.txtar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if strings.HasSuffix(file.Name, ".yaml") {
			f.Add(string(file.Data))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		group, err := registry.Parse("group.yaml", []byte(text), func(string) ([]byte, error) {
			return []byte(strings.Repeat("secret", 8)), nil
		})
		if err != nil {
			var faults registry.Faults
			if !errors.As(err, &faults) || len(faults) == 0 || group != nil {
				t.Fatalf("group %v, error %v", group, err)
			}
			for _, fault := range faults {
				if fault.Line < 1 || fault.Column < 1 || fault.What == "" || fault.Hint == "" {
					t.Errorf("fault %+v", fault)
				}
			}
			return
		}
		document, err := json.Marshal(group)
		if err != nil {
			t.Fatal(err)
		}
		back := new(registry.Group)
		if err := json.Unmarshal(document, back); err != nil {
			t.Fatal(err)
		}
		if err := back.Check(); err != nil {
			t.Errorf("read back: %v", err)
		}
		if plan := registry.Diff(group, back); !plan.Empty() {
			t.Errorf("read back, it differs:\n%s\n%s", plan, cmp.Diff(group, back))
		}
		_ = registry.Diff(nil, group).String()
	})
}
