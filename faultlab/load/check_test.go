package load_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
)

const second = time.Second

// well is a family as it should be: redeemed, refreshed, exchanged, revoked.
func well() []load.Record {
	return []load.Record{
		{Op: load.Redeem, Client: "shop.ios", Sector: "shop", Person: 1, Subject: "one-at-shop", Family: "f", In: "f", Out: "r1", Start: 1 * second, End: 2 * second, Outcome: load.OK},
		{Op: load.Refresh, Client: "shop.ios", Sector: "shop", Person: 1, Subject: "one-at-shop", Family: "f", In: "r1", Out: "r2", Start: 3 * second, End: 4 * second, Outcome: load.OK},
		{Op: load.Exchange, Client: "pay.backend", Sector: "pay", Person: 1, Subject: "one-at-pay", Family: "f", Start: 5 * second, End: 6 * second, Outcome: load.OK},
		{Op: load.Revoke, Client: "shop.ios", Person: 1, Family: "f", Start: 7 * second, End: 8 * second, Outcome: load.OK},
		{Op: load.Refresh, Client: "shop.ios", Sector: "shop", Person: 1, Family: "f", In: "r2", Start: 9 * second, End: 10 * second, Outcome: load.Refused, Said: "400 invalid_grant"},
	}
}

// The checker is tested too: each kind of broken promise, put into the records by
// hand, is found, and nothing is found where there is nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	refresh := load.Record{Op: load.Refresh, Client: "shop.ios", Sector: "shop", Person: 1, Family: "f", In: "r1", Out: "r2", Start: 4 * second, End: 5 * second, Outcome: load.OK}
	with := func(change func(*load.Record)) load.Record {
		r := refresh
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		more  []load.Record
		blind []load.Span
		want  string // part of the only violation; empty: none
	}{
		"nothing":                {},
		"an answer repeated":     {more: []load.Record{refresh}},
		"503":                    {more: []load.Record{with(func(r *load.Record) { r.Outcome = load.Unavailable })}},
		"an answer lost":         {more: []load.Record{with(func(r *load.Record) { r.Outcome = load.Unknown })}},
		"refused while revoking": {more: []load.Record{with(func(r *load.Record) { r.Start, r.End, r.In, r.Outcome = 6*second, 7*second+1, "r2", load.Refused })}},
		"exchanged right after the end": {more: []load.Record{with(func(r *load.Record) {
			r.Op, r.Client, r.Start, r.End = load.Exchange, "pay.backend", 9*second, 10*second
		})}},
		"blind": {
			more: []load.Record{with(func(r *load.Record) {
				r.Op, r.Client, r.Start, r.End = load.Exchange, "pay.backend", 20*second, 21*second
			})},
			blind: []load.Span{{From: 7 * second, To: 19 * second}},
		},
		"sent too late, after an answer that was lost": {more: []load.Record{
			with(func(r *load.Record) { r.Outcome = load.Unknown; r.Family, r.In = "g", "x1" }),
			with(func(r *load.Record) {
				r.Start, r.End, r.Outcome, r.Family, r.In = 40*second, 41*second, load.Refused, "g", "x1"
			}),
		}},
		"throttled after a sign-in without an answer": {more: []load.Record{
			{Op: load.SignIn, Person: 3, Start: second, End: 2 * second, Outcome: load.Unknown},
			{Op: load.SignIn, Person: 3, Start: 3 * second, End: 4 * second, Outcome: load.Refused, Said: "429"},
		}},

		"an assertion twice": {want: "taken 2 times", more: []load.Record{
			{Op: load.Assertion, In: "j", Start: second, End: 2 * second, Outcome: load.OK},
			{Op: load.Assertion, In: "j", Start: second, End: 2 * second, Outcome: load.OK},
		}},
		"throttled for nothing": {want: "refused", more: []load.Record{{Op: load.SignIn, Person: 3, Start: second, End: 2 * second, Outcome: load.Refused, Said: "429"}}},
		"500":                   {want: "answered with 500", more: []load.Record{with(func(r *load.Record) { r.Outcome, r.Said = load.Wrong, "500" })}},
		"logged out":            {want: "refused", more: []load.Record{with(func(r *load.Record) { r.Outcome = load.Refused })}},
		"two successors":        {want: "2 successors", more: []load.Record{with(func(r *load.Record) { r.Out = "r3" })}},
		"a code twice":          {want: "redeemed 2 times", more: []load.Record{with(func(r *load.Record) { r.Op, r.In, r.Out = load.Redeem, "f", "r4" })}},
		"alive after it":        {want: "after its end", more: []load.Record{with(func(r *load.Record) { r.Start, r.End, r.In, r.Out = 9*second, 10*second, "r2", "r3" })}},
		"exchanged later": {want: "after its end", more: []load.Record{with(func(r *load.Record) {
			r.Op, r.Client, r.Start, r.End = load.Exchange, "pay.backend", 10*second, 11*second
		})}},
		"active later": {want: "after its end", more: []load.Record{with(func(r *load.Record) {
			r.Op, r.Client, r.Start, r.End = load.Introspect, "pay.backend", 10*second, 11*second
		})}},
		"another subject":  {want: "the person was", more: []load.Record{with(func(r *load.Record) { r.Subject = "two-at-shop" })}},
		"somebody else's":  {want: "is person", more: []load.Record{with(func(r *load.Record) { r.Person, r.Family, r.In, r.Subject = 2, "g", "x1", "one-at-shop" })}},
		"does not verify":  {want: "does not verify", more: []load.Record{with(func(r *load.Record) { r.Fault = "the token does not verify" })}},
		"refused for none": {want: "refused", more: []load.Record{{Op: load.Service, Client: "pay.backend", Start: second, End: 2 * second, Outcome: load.Refused, Said: "401"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := load.Check(append(well(), c.more...), c.blind...)
			switch {
			case c.want == "" && len(found.Violations) > 0:
				t.Errorf("found %q", found.Violations)
			case c.want != "" && (len(found.Violations) != 1 || !strings.Contains(found.Violations[0], c.want)):
				t.Errorf("found %q, want %q", found.Violations, c.want)
			}
		})
	}
}
