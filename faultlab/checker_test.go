package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/outbox"
)

// TestChecker: what was promised is found to be kept, and each way of not keeping
// it is found.
func TestChecker(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		change func(*evidence)
		want   string // in the violation; empty: none
	}{
		"all well":   {func(*evidence) {}, ""},
		"came twice": {func(e *evidence) { e.arrivals["r"] = append(e.arrivals["r"], e.arrivals["r"][0]) }, ""},
		"a dead letter": {func(e *evidence) {
			e.ended["r"]["id-1"], e.arrivals["r"] = outbox.StateDead, nil
			e.ended["r"]["id-0"] = outbox.StateDead
		}, ""},
		"missing":        {func(e *evidence) { delete(e.ended["r"], "id-1") }, "missing"},
		"waits for ever": {func(e *evidence) { e.ended["r"]["id-1"] = outbox.StatePending }, "still waits"},
		"never arrived":  {func(e *evidence) { e.arrivals["r"] = e.arrivals["r"][:1] }, "never was"},
		"never taken":    {func(e *evidence) { e.arrivals["r"][1].Status = 500 }, "never was"},
		"other jti":      {func(e *evidence) { e.arrivals["r"][1].ID = "other" }, "not id-1"},
		"out of order":   {func(e *evidence) { e.arrivals["r"][1].At = 0 }, "came before"},
		"unreadable":     {func(e *evidence) { e.arrivals["r"][1].N = -1 }, "cannot read"},
		"says another thing": {func(e *evidence) {
			again := e.arrivals["r"][0]
			again.Said = "other"
			e.arrivals["r"] = append(e.arrivals["r"], again)
		}, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &evidence{
				people: 1,
				publications: []publication{
					{N: 0, End: time.Second, Outcome: unknown},
					{N: 0, End: time.Second, Outcome: acknowledged},
					{N: 1, End: 2 * time.Second, Outcome: acknowledged},
				},
				arrivals: map[string][]arrival{"r": {
					{N: 0, ID: "id-0", Said: "a", At: time.Second, Status: 202},
					{N: 1, ID: "id-1", Said: "b", At: 2 * time.Second, Status: 202},
				}},
				ended:    map[string]map[string]outbox.State{"r": {"id-0": outbox.StateDone, "id-1": outbox.StateDone}},
				expected: func(_ string, n int) string { return []string{"id-0", "id-1"}[n] },
			}
			change.change(e)
			var found report
			e.check(&found)
			got := strings.Join(found.violations, "; ")
			if change.want == "" && got != "" || !strings.Contains(got, change.want) {
				t.Errorf("got %q, want %q", got, change.want)
			}
			if found.unknowns != 1 {
				t.Errorf("%d unknowns", found.unknowns)
			}
		})
	}
}
