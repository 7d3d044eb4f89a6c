package registry_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/registry"
)

func TestParseExample(t *testing.T) {
	t.Parallel()
	document, err := json.MarshalIndent(example(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "group.golden.json", string(document)+"\n")
}

func TestDocumentReadsBack(t *testing.T) {
	t.Parallel()
	group := example(t)
	document, err := json.Marshal(group)
	if err != nil {
		t.Fatal(err)
	}
	back := new(registry.Group)
	if err := json.Unmarshal(document, back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(group, back); diff != "" {
		t.Errorf("group differs after the database (-file +database):\n%s", diff)
	}
	if err := back.Check(); err != nil {
		t.Errorf("checked again: %v", err)
	}
	if diff := cmp.Diff(group, back); diff != "" {
		t.Errorf("checking twice changes the group:\n%s", diff)
	}
}
