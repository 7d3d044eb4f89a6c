package outbox_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bundle is an outbox on a real database.
type bundle struct {
	t   testing.TB
	ctx context.Context
	db  *db.DB
}

func setup(t testing.TB) *bundle {
	t.Helper()
	database, err := db.Open(t.Context(), dbtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return &bundle{t: t, ctx: t.Context(), db: database}
}

func (b *bundle) update(fn func(*db.Tx) error) {
	b.t.Helper()
	if err := b.db.Update(b.ctx, fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) read(fn func(*db.Tx) error) {
	b.t.Helper()
	if err := b.db.Read(b.ctx, fn); err != nil {
		b.t.Fatal(err)
	}
}

// message is a delivery of a stream about a person.
func message(stream, id string, person byte) outbox.Delivery {
	return outbox.Delivery{Stream: stream, ID: id, Type: "test", Key: [8]byte{person}, Sealed: []byte(id)}
}

func (b *bundle) add(at time.Time, deliveries ...outbox.Delivery) {
	b.t.Helper()
	b.update(func(tx *db.Tx) error { return outbox.Add(b.ctx, tx, at, deliveries) })
}

func (b *bundle) due(stream string, at time.Time) (due []outbox.Delivery) {
	b.t.Helper()
	b.read(func(tx *db.Tx) (err error) {
		due, err = outbox.Due(b.ctx, tx, stream, at, 100)
		return err
	})
	return due
}

func (b *bundle) wantDue(stream string, at time.Time, want ...string) {
	b.t.Helper()
	if got := ids(b.due(stream, at)); !slices.Equal(got, want) {
		b.t.Fatalf("due are %v, want %v", got, want)
	}
}

func (b *bundle) pending(stream string) (pending []outbox.Delivery) {
	b.t.Helper()
	b.read(func(tx *db.Tx) (err error) {
		pending, err = outbox.Pending(b.ctx, tx, stream, 1000)
		return err
	})
	return pending
}

func (b *bundle) done(at time.Time, stream string, ids ...string) (n int64) {
	b.t.Helper()
	b.update(func(tx *db.Tx) (err error) {
		n, err = outbox.DoneByID(b.ctx, tx, at, stream, ids)
		return err
	})
	return n
}

func ids(deliveries []outbox.Delivery) []string {
	var list []string
	for _, d := range deliveries {
		list = append(list, d.ID)
	}
	return list
}
