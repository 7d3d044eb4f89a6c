package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/rar"
)

// TestExampleOfAuthorizationDetails reads the group file of
// docs/authorization-details.md, a part of which stands there.
func TestExampleOfAuthorizationDetails(t *testing.T) {
	t.Parallel()
	docs := filepath.Join("..", "..", "docs")
	dir := filepath.Join(docs, "examples", "authorization-details")
	text, err := os.ReadFile(filepath.Join(dir, "group.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, "authorization-details.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "```yaml\n")
	shown, _, found := strings.Cut(shown, "```")
	if !found || !strings.Contains(string(text), shown) {
		t.Error("docs/authorization-details.md shows another file")
	}
	r := open(t, setup(t).config())
	apply(t, r, parseIn(t, dir))
	api := r.Current().ResourcesWithDetail("transfer")
	if len(api) != 2 || api[0].Audience != "https://api.bank.example" || api[1].Audience != "https://api.ledger.example" {
		t.Fatalf("transfer is taken by %v", api)
	}
	kind, _ := api[0].DetailType("transfer")
	held, less, odd := detail(t, `"1200"`), detail(t, `"1000.50"`), detail(t, `"1.5"`)
	if err := kind.Check(held); err != nil {
		t.Errorf("what the page asks for is refused: %v", err)
	}
	if kind.Check(odd) == nil {
		t.Error("half a cent is taken")
	}
	if !kind.Within(less, held) || kind.Within(held, less) {
		t.Error("a smaller amount is not less")
	}
	members := kind.Members(held)
	if len(members) != 3 || kind.NameOf(members[0].Path, "ja") != "金額" || members[0].Value != "1200" || kind.NameOf("other", "ja") != "other" {
		t.Errorf("a person is shown %+v", members)
	}
	if _, declared := api[0].DetailType("other"); declared || len(api[0].Detailed("balance.read")) != 0 {
		t.Error("bank takes details that it has not declared")
	}
}

func detail(t *testing.T, value string) rar.Detail {
	t.Helper()
	details, err := rar.Parse(`[{"type":"transfer","amount":{"value":` + value + `,"currency":"JPY"},"creditor":"Ben"}]`)
	if err != nil {
		t.Fatal(err)
	}
	return details[0]
}
