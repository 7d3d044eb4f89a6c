package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/registry"
)

var start = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

// bundle is a registry on a database of its own.
type bundle struct {
	*registry.Registry
	db      *db.DB
	clock   *clocktest.Clock
	mu      sync.Mutex
	removed []string // by Applies
	refuse  error    // what the hook answers
}

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{clock: clocktest.At(start), db: openDB(t, dbtest.DSN(t))}
	b.Registry = open(t, b.config())
	return b
}

func (b *bundle) config() registry.Config {
	return registry.Config{DB: b.db, Now: b.clock.Now, Removed: func(_ context.Context, _ *db.Tx, clients []string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.removed = clients
		return b.refuse
	}}
}

func openDB(t testing.TB, path string) *db.DB {
	t.Helper()
	opened, err := db.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

func open(t testing.TB, config registry.Config) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func apply(t testing.TB, r *registry.Registry, group *registry.Group) registry.Plan {
	t.Helper()
	plan, err := r.Apply(t.Context(), group, "test")
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// records reads what the audit says of applied groups.
func (b *bundle) records(t testing.TB) []audit.Record {
	t.Helper()
	var records []audit.Record
	err := b.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		records, err = audit.Find(t.Context(), tx, audit.Query{Event: audit.GroupApplied, Limit: 100})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func edited(t *testing.T, edits ...string) *registry.Group {
	t.Helper()
	return parse(t, []byte(edit(t, string(read(t, "group.yaml")), edits)))
}

func TestEmptyRegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if b.Group() != nil {
		t.Error("a group is there before one was applied")
	}
	snapshot := b.Current()
	if snapshot.Issuer != "" || snapshot.Revision != 0 || len(snapshot.Subsystems()) != 0 {
		t.Errorf("snapshot = %+v, want an empty one", snapshot)
	}
	if len(snapshot.Realm) != 32 {
		t.Errorf("realm = %q, want 32 hex digits", snapshot.Realm)
	}
	if _, ok := snapshot.Client("market.backend"); ok {
		t.Error("a client is there before a group was applied")
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	b := setup(t)
	empty := b.Current()
	said, err := b.Plan(example(t))
	if err != nil {
		t.Fatal(err)
	}
	done := apply(t, b.Registry, example(t))
	if diff := cmp.Diff(said.Changes, done.Changes); diff != "" {
		t.Errorf("the plan and what was done differ:\n%s", diff)
	}
	snapshot := b.Current()
	if snapshot.Issuer != "https://id.market.example" || snapshot.Revision != 1 || snapshot.Realm != empty.Realm {
		t.Errorf("issuer %q, revision %d, realm %q", snapshot.Issuer, snapshot.Revision, snapshot.Realm)
	}
	if diff := cmp.Diff(example(t), b.Group()); diff != "" {
		t.Errorf("the group of the database is another one:\n%s", diff)
	}
	if empty.Issuer != "" {
		t.Error("the snapshot of before has changed")
	}
	records := b.records(t)
	if len(records) != 1 {
		t.Fatalf("%d audit records, want 1", len(records))
	}
	if r := records[0]; r.Detail["by"] != "test" || r.Outcome != audit.OK || !r.At.Equal(start) {
		t.Errorf("audit record = %+v", r)
	}
	// Another process, or the same after a restart, sees the same.
	again := open(t, b.config()).Current()
	if again.Realm != snapshot.Realm || again.Revision != 1 {
		t.Errorf("after a restart: realm %q, revision %d", again.Realm, again.Revision)
	}
	for _, subsystem := range snapshot.Subsystems() {
		other, ok := again.Subsystem(subsystem.Name)
		if !ok || other.Sector != subsystem.Sector {
			t.Errorf("after a restart the sector of %s is %+v, was %+v", subsystem.Name, other, subsystem.Sector)
		}
	}
}

func TestApplyOfEqualGroupChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	apply(t, b.Registry, example(t))
	before := b.Current()
	plan := apply(t, b.Registry, example(t))
	if !plan.Empty() {
		t.Errorf("plan:\n%s", plan)
	}
	if b.Current() != before {
		t.Error("the snapshot was swapped")
	}
	if n := len(b.records(t)); n != 1 {
		t.Errorf("%d audit records, want 1", n)
	}
}

func TestApplyKeepsSectors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	apply(t, b.Registry, example(t))
	crypto, _ := b.Current().Subsystem("crypto")
	sector := crypto.Sector
	if len(sector.ID) != 32 || sector.Gen != 1 || sector.Name != "crypto" {
		t.Errorf("sector = %+v", sector)
	}
	leave := []string{
		"  crypto:\n    scenario: backend\n    identity: [email]\n    clients:\n      web: { secret_file: crypto.secret, redirect_uris: [https://crypto.example/callback] }\n", "",
		"  - { from: crypto, to: market, user: [items.read], service: [settle] }\n", "",
	}
	apply(t, b.Registry, edited(t, leave...))
	if _, ok := b.Current().Subsystem("crypto"); ok {
		t.Fatal("crypto has not left")
	}
	if diff := cmp.Diff([]string{"crypto.web"}, b.removed); diff != "" {
		t.Errorf("removed clients told to the hook (-want +got):\n%s", diff)
	}
	apply(t, b.Registry, example(t))
	if crypto, _ := b.Current().Subsystem("crypto"); crypto.Sector != sector {
		t.Errorf("after its return the sector is %+v, was %+v", crypto.Sector, sector)
	}
	apply(t, b.Registry, edited(t, "  crypto:\n    scenario: backend\n", "  coins:\n    scenario: backend\n    sector: crypto\n", "from: crypto", "from: coins"))
	if coins, _ := b.Current().Subsystem("coins"); coins.Sector != sector {
		t.Errorf("after the rename the sector is %+v, was %+v", coins.Sector, sector)
	}
	wrong := edited(t, "  crypto:\n    scenario: backend\n", "  coins:\n    scenario: backend\n    sector: cripto\n", "from: crypto", "from: coins")
	_, err := b.Apply(t.Context(), wrong, "test")
	var faults registry.Faults
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), "did you mean crypto?") {
		t.Errorf("a sector that has never been: %v", err)
	}
	if _, err := b.Plan(wrong); !errors.As(err, &faults) {
		t.Errorf("a sector that has never been, planned: %v", err)
	}
}

func TestNewSectorsHaveThePresentGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	apply(t, b.Registry, edited(t, "  crypto:\n", "  coins:\n", "from: crypto", "from: coins"))
	config := b.config()
	config.Generation = func() int { return 3 }
	later := open(t, config)
	apply(t, later, example(t))
	market, _ := later.Current().Subsystem("market")
	crypto, _ := later.Current().Subsystem("crypto")
	if market.Sector.Gen != 1 || crypto.Sector.Gen != 3 {
		t.Errorf("generations %d and %d, want 1 for the old sector and 3 for the new", market.Sector.Gen, crypto.Sector.Gen)
	}
}

// A sector is re-keyed to a generation that is later than its own, and not again
// while its former subjects are taken.
func TestRekey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	apply(t, b.Registry, example(t))
	config := b.config()
	gen := 1
	config.Generation = func() int { return gen }
	r := open(t, config)
	rekey := func(name string) error {
		_, err := r.Rekey(t.Context(), name, time.Hour, "test")
		return err
	}
	if err := rekey("market"); !errors.Is(err, registry.ErrSectorCurrent) {
		t.Errorf("to the same generation: %v", err)
	}
	if err := r.EndOverlap(t.Context(), "market", "test"); !errors.Is(err, registry.ErrNoOverlap) {
		t.Errorf("no overlap: %v", err)
	}
	gen = 2
	if err := rekey("nowhere"); !errors.Is(err, registry.ErrSectorUnknown) {
		t.Errorf("unknown: %v", err)
	}
	if err := rekey("market"); err != nil {
		t.Fatal(err)
	}
	market, _ := r.Current().Subsystem("market")
	crypto, _ := r.Current().Subsystem("crypto")
	if s := market.Sector; s.Gen != 2 || s.Former != 1 || s.FormerUntil.Sub(s.RekeyedAt) != time.Hour || s.RekeyedAt.Sub(config.Now()) != 2*time.Minute {
		t.Errorf("%+v", s)
	}
	if crypto.Sector.Gen != 1 || crypto.Sector.Former != 0 {
		t.Errorf("another sector: %+v", crypto.Sector)
	}
	gen = 3
	if err := rekey("market"); !errors.Is(err, registry.ErrSectorOverlap) {
		t.Errorf("in the overlap: %v", err)
	}
	if err := r.EndOverlap(t.Context(), "market", "test"); err != nil {
		t.Fatal(err)
	}
	if err := rekey("market"); err != nil {
		t.Fatal(err)
	}
	market, _ = r.Current().Subsystem("market")
	if s := market.Sector; s.Gen != 3 || s.Former != 2 {
		t.Errorf("%+v", s)
	}
}

func TestApplyIsWholeOrNot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	apply(t, b.Registry, example(t))
	before := b.Current()
	b.refuse = errors.New("grants cannot be ended")
	next := edited(t, "  crypto:\n", "  coins:\n", "from: crypto", "from: coins")
	if _, err := b.Apply(t.Context(), next, "test"); !errors.Is(err, b.refuse) {
		t.Fatalf("error = %v, want the one of the hook", err)
	}
	if b.Current() != before || len(b.records(t)) != 1 {
		t.Error("a failed Apply has left something")
	}
	// The sector of coins was not made either: nothing may be pinned to it.
	pinned := edited(t, "  crypto:\n    scenario: backend\n", "  money:\n    scenario: backend\n    sector: coins\n", "from: crypto", "from: money")
	if _, err := b.Plan(pinned); err == nil {
		t.Error("a failed Apply has left a sector")
	}
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Apply(t.Context(), next, "test"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("without a database: %v, want ErrUnavailable", err)
	}
	if b.Current() != before {
		t.Error("without a database the snapshot has changed")
	}
}

func TestApplyChecksGroupsThatCameFromNoFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var group registry.Group
	if err := json.Unmarshal([]byte(`{"issuer": "http://id.example", "subsystems": {"App": null, "x": {"scenario": "app", "clients": {"web": null}}}, "calls": [{"from": "x", "to": "y", "user": ["z"]}]}`), &group); err != nil {
		t.Fatal(err)
	}
	_, err := b.Apply(t.Context(), &group, "test")
	var faults registry.Faults
	if !errors.As(err, &faults) || len(faults) < 4 {
		t.Fatalf("error = %v, want faults", err)
	}
	for _, fault := range faults {
		if fault.Line != 0 || fault.Path == "" {
			t.Errorf("fault %+v has a line, or no path", fault)
		}
	}
}

func TestManyAppliesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	groups := []*registry.Group{example(t), edited(t, "https://id.market.example", "https://login.market.example")}
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			copied := new(registry.Group)
			document, err := json.Marshal(groups[i%2])
			if err == nil {
				err = json.Unmarshal(document, copied)
			}
			if err == nil {
				_, err = b.Apply(t.Context(), copied, "test")
			}
			if err != nil {
				t.Error(err)
			}
			if issuer := b.Current().Issuer; !strings.HasSuffix(issuer, ".market.example") {
				t.Errorf("issuer = %q", issuer)
			}
		})
	}
	wait.Wait()
	if revision := b.Current().Revision; int(revision) != len(b.records(t)) {
		t.Errorf("revision %d, but %d audit records", revision, len(b.records(t)))
	}
}

// TestOtherProcess holds that a change made by another process is seen.
func TestOtherProcess(t *testing.T) {
	t.Parallel()
	path := dbtest.DSN(t)
	here := open(t, registry.Config{DB: openDB(t, path), Now: clocktest.At(start).Now})
	thereDB := openDB(t, path)
	there := open(t, registry.Config{DB: thereDB, Now: clocktest.At(start).Now})
	seen := make(chan struct{}, 1)
	thereDB.Watch("registry", func(context.Context) error {
		select {
		case seen <- struct{}{}:
		default:
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = thereDB.Follow(ctx) }()
	apply(t, here, example(t))
	select {
	case <-seen: // watchers run in order, so the registry has loaded
	case <-t.Context().Done():
	}
	if there.Current().Issuer != here.Current().Issuer {
		t.Errorf("there the issuer is %q", there.Current().Issuer)
	}
}
