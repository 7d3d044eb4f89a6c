package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
)

func setup(t *testing.T) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dbtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func start() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func appendAll(t *testing.T, d *db.DB, records ...audit.Record) {
	t.Helper()
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		for _, r := range records {
			if err := audit.Append(t.Context(), tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, d *db.DB, q audit.Query) (records []audit.Record) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		records, err = audit.Find(t.Context(), tx, q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func reasons(records []audit.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Reason)
	}
	return strings.Join(all, " ")
}

func TestAppendAndFind(t *testing.T) {
	t.Parallel()
	d := setup(t)
	want := audit.Record{
		At: start(), Event: audit.ExchangeRefused, Outcome: audit.Refused, Client: "pay.backend", Account: "a1",
		Grant: 7, Reason: "no edge from pay to market", Source: "192.0.2.1", Request: "r1",
		Detail: map[string]any{"target": "https://api.market.example", "scopes": []any{"settle"}},
	}
	appendAll(t, d, want)
	got := find(t, d, audit.Query{})
	if len(got) != 1 || got[0].ID == "" {
		t.Fatalf("got %+v", got)
	}
	got[0].ID = ""
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
}

func TestFindFilters(t *testing.T) {
	t.Parallel()
	d := setup(t)
	record := func(after time.Duration, event audit.Event, client, account, name string) audit.Record {
		return audit.Record{At: start().Add(after), Event: event, Outcome: audit.OK, Client: client, Account: account, Reason: name}
	}
	appendAll(t, d,
		record(2*time.Second, audit.TokenIssued, "a.web", "x", "third"),
		record(0, audit.TokenIssued, "a.web", "", "first"),
		record(time.Second, audit.SignInFailed, "b.web", "x", "second"),
	)
	for name, c := range map[string]struct {
		query audit.Query
		want  string
	}{
		"all":      {audit.Query{}, "first second third"},
		"account":  {audit.Query{Account: "x"}, "second third"},
		"client":   {audit.Query{Client: "a.web"}, "first third"},
		"event":    {audit.Query{Event: audit.SignInFailed}, "second"},
		"from":     {audit.Query{From: start().Add(time.Second)}, "second third"},
		"to":       {audit.Query{To: start().Add(time.Second)}, "first"},
		"limit":    {audit.Query{Limit: 2}, "first second"},
		"together": {audit.Query{Account: "x", Client: "a.web", Event: audit.TokenIssued, From: start(), To: start().Add(time.Hour)}, "third"},
		"none":     {audit.Query{Account: "y"}, ""},
	} {
		if got := reasons(find(t, d, c.query)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	page := find(t, d, audit.Query{Limit: 1})
	if got := reasons(find(t, d, audit.Query{After: page[0].ID})); got != "second third" {
		t.Errorf("the next page has %q", got)
	}
}

func TestAppendBelongsToItsTransaction(t *testing.T) {
	t.Parallel()
	d := setup(t)
	undone := errors.New("undone")
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		if err := audit.Append(t.Context(), tx, audit.Record{At: start(), Event: audit.GrantRevoked, Outcome: audit.OK}); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) || len(find(t, d, audit.Query{})) != 0 {
		t.Errorf("a record outlived its transaction, %v", err)
	}
}

func TestRecordsHoldNoCredentials(t *testing.T) {
	t.Parallel()
	d := setup(t)
	const (
		jwt     = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6"
		refresh = "sek_rt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	)
	appendAll(t, d, audit.Record{
		At: start(), Event: audit.TokenRefused, Outcome: audit.Refused,
		Reason: "cannot read " + jwt, Client: refresh, Source: "a\x00b\xffc", Account: strings.Repeat("é", 2000),
		Detail: map[string]any{"hint": jwt, "list": []string{refresh}, "nul": "a\x00b"},
	})
	r := find(t, d, audit.Query{})[0]
	all := fmt.Sprintf("%+v", r)
	if strings.Contains(all, jwt[:30]) || strings.Contains(all, refresh) {
		t.Errorf("a credential was written: %s", all)
	}
	if r.Reason != "cannot read [removed]" || r.Source != "ab\uFFFDc" || len(r.Account) != 1024 || r.Detail["nul"] != "ab" {
		t.Errorf("got %+v", r)
	}
}

func TestIncompleteRecordsAreRefused(t *testing.T) {
	t.Parallel()
	d := setup(t)
	good := audit.Record{At: start(), Event: audit.TokenIssued, Outcome: audit.OK}
	noTime, noEvent, noOutcome, noJSON, long := good, good, good, good, good
	noTime.At, noEvent.Event, noOutcome.Outcome = time.Time{}, "", ""
	noJSON.Detail = map[string]any{"f": func() {}}
	long.Detail = map[string]any{"x": strings.Repeat("x", 5000)}
	for name, r := range map[string]audit.Record{"time": noTime, "event": noEvent, "outcome": noOutcome, "JSON": noJSON, "long": long} {
		err := d.Update(t.Context(), func(tx *db.Tx) error { return audit.Append(t.Context(), tx, r) })
		if err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	d := setup(t)
	var old []audit.Record
	for i := range 1500 {
		old = append(old, audit.Record{At: start().Add(-time.Duration(i+1) * time.Second), Event: audit.TokenIssued, Outcome: audit.OK, Reason: "old"})
	}
	appendAll(t, d, append(old, audit.Record{At: start(), Event: audit.TokenIssued, Outcome: audit.OK, Reason: "young"})...)
	removed, err := audit.Sweep(t.Context(), d, start())
	if err != nil || removed != 1500 {
		t.Errorf("removed %d, %v", removed, err)
	}
	if got := reasons(find(t, d, audit.Query{})); got != "young" {
		t.Errorf("left %q", got)
	}
}
