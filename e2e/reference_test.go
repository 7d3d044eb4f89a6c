package e2e_test

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// probe is one request, or a short story that ends in one, and what came of it
// in a few words, so that two servers can be compared.
type probe struct {
	name string
	run  func(*party) string
}

// TestBesideNodeOIDCProvider sends the same requests to Sekisho and to
// node-oidc-provider. Each difference in status, error code or shape must stand
// in docs/divergences.md with its reason, and nothing else may.
func TestBesideNodeOIDCProvider(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	relyingParties := newSite(t).URL
	as, told := newNPMServer(t, relyingParties, "--trust-proxy", "127.0.0.0/8,::1/128")
	told.Reference = "http://" + freeAddress(t)
	reference := startScript(t, "reference/oidc-provider.js", told).listening()

	ours, theirs := newParty(t, as.Issuer, told), newParty(t, reference, told)
	found := map[string]difference{}
	probes := slices.Concat(authorizeProbes, clientProbes, codeProbes, grantProbes, userinfoProbes, tokenStateProbes, claimProbes, logoutProbes)
	for _, p := range probes {
		if before, ok := found[p.name]; ok {
			t.Fatalf("two requests are called %s: %v", p.name, before)
		}
		found[p.name] = difference{p.run(ours), p.run(theirs)}
	}
	for member, value := range compareMetadata(ours, theirs) {
		found["metadata: "+member] = value
	}
	t.Logf("%d requests and members of the metadata\n%s", len(found), table(found))
	maps.DeleteFunc(found, func(_ string, d difference) bool { return d.ours == d.theirs })
	compareWithPage(t, found)
}

// difference is what two servers answered to one request.
type difference struct{ ours, theirs string }

// compareWithPage holds differences against docs/divergences.md.
func compareWithPage(t *testing.T, found map[string]difference) {
	t.Helper()
	explained := explainedDifferences(t)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		d := found[name]
		switch told, ok := explained[name]; {
		case !ok:
			t.Errorf("not explained in docs/divergences.md:\n| %s | `%s` | `%s` | |", name, d.ours, d.theirs)
		case told != d:
			t.Errorf("docs/divergences.md has it differently; it is\n| %s | `%s` | `%s` | |", name, d.ours, d.theirs)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(explained)) {
		if _, ok := found[name]; !ok {
			t.Errorf("docs/divergences.md explains a difference that there is not: %s", name)
		}
	}
}

// explainedDifferences reads the tables of the section in docs/divergences.md.
func explainedDifferences(t *testing.T) map[string]difference {
	t.Helper()
	page, err := os.ReadFile("../docs/divergences.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## Differences from node-oidc-provider\n")
	if !ok {
		t.Fatal("docs/divergences.md has no section on node-oidc-provider")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	explained := map[string]difference{}
	row := regexp.MustCompile("(?m)^\\| (.+?) \\| `(.+?)` \\| `(.+?)` \\| (.*?) ?\\|$")
	for _, cells := range row.FindAllStringSubmatch(section, -1) {
		if cells[4] == "" {
			t.Errorf("docs/divergences.md gives no reason for %s", cells[1])
		}
		explained[cells[1]] = difference{cells[2], cells[3]}
	}
	return explained
}

// table lays differences out, the ones that differ first.
func table(found map[string]difference) string {
	names := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		same := func(name string) int {
			if found[name].ours == found[name].theirs {
				return 1
			}
			return 0
		}
		return cmp.Or(same(a)-same(b), strings.Compare(a, b))
	})
	var text bytes.Buffer
	lines := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, name := range names {
		d := found[name]
		_, _ = lines.Write([]byte(name + "\t" + d.ours + "\t"))
		if d.theirs != d.ours {
			_, _ = lines.Write([]byte(d.theirs))
		}
		_, _ = lines.Write([]byte("\n"))
	}
	_ = lines.Flush() // to memory
	return text.String()
}
