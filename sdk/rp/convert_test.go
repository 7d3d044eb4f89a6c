package rp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/oauth"
)

func TestConvertKeepsTheOrder(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "market.backend")
	asked := []string{
		"alice.market-app", "", "ghost.market-app", "bob.market-app", "alice.pay", "alice.market-app",
		"日本", strings.Repeat("x", 256), "a\nb", `"\\<&> .market-app`,
	}
	want := []string{"alice.market", "", "", "bob.market", "", "alice.market", "", "", "", `"\\<&> .market`}
	got, err := client.Convert(t.Context(), "market-app", "market", asked)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	sent := [][]string{{"alice.market-app", "ghost.market-app", "bob.market-app", "alice.pay", "alice.market-app", `"\\<&> .market-app`}}
	if diff := cmp.Diff(sent, issuer.Batches()); diff != "" {
		t.Errorf("what can be nobody's was sent: %s", diff)
	}
	form := issuer.Forms()[0]
	if form["scope"][0] != oauth.ScopeConvert || form["resource"][0] != issuer.URL {
		t.Errorf("asked for a token with %v", form)
	}
}

func TestConvertAsksNothingForNothing(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "market.backend")
	got, err := client.Convert(t.Context(), "market-app", "market", []string{""})
	if err != nil || len(got) != 1 || got[0] != "" {
		t.Fatalf("got %q, %v", got, err)
	}
	if n := issuer.Count("/oauth2/token"); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

func TestConvertSplitsLongLists(t *testing.T) {
	t.Parallel()
	for name, width := range map[string]int{"by number": 8, "by size": 250, "by size of what needs escapes": 249} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, client := setup(t, "market.backend")
			asked, want := make([]string, 2500), make([]string, 2500)
			for i := range asked {
				person := fmt.Sprintf("%0*d", width-len(".pay"), i)
				if width%2 == 1 {
					person = strings.ReplaceAll(person, "0", `"`)
				}
				asked[i], want[i] = person+".pay", person+".market"
			}
			got, err := client.Convert(t.Context(), "pay", "market", asked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			batches := issuer.Batches()
			if len(batches) < 3 {
				t.Errorf("sent in %d requests", len(batches))
			}
			for _, batch := range batches {
				body, err := json.Marshal(map[string]any{"from": "pay", "to": "market", "subjects": batch})
				if err != nil {
					t.Fatal(err)
				}
				if len(batch) > 1000 || len(body) > 64<<10 {
					t.Errorf("a request with %d subjects and %d bytes", len(batch), len(body))
				}
			}
		})
	}
}
