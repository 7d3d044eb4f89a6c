package courier_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// queue fills the streams with events about many people, in few transactions.
func (e *engine) queue(n int) {
	e.t.Helper()
	event, _ := e.Registry.Current().Event(itemSold)
	for first := 0; first < n; first += 500 {
		var list []courier.Publication
		for i := first; i < min(first+500, n); i++ {
			who := account.Ref{Gen: 1}
			copy(who.Handle[:], fmt.Sprintf("%012d", i))
			list = append(list, courier.Publication{
				Event: event, ID: fmt.Sprint("sale-", i), Subject: who, HappenedAt: e.clock.Now(), Data: json.RawMessage(`{"item":4711,"price":3200}`),
			})
		}
		e.hand(list)
	}
}

// BenchmarkFanOut is one event for one stream, of many in one transaction.
func BenchmarkFanOut(b *testing.B) {
	e := openEngine(b)
	e.stream("crypto.backend", newReceiver(b))
	b.ReportAllocs()
	b.ResetTimer()
	e.queue(b.N)
}

// BenchmarkDispatch is one delivery of a backlog, signed, sent and settled.
func BenchmarkDispatch(b *testing.B) {
	for name, method := range map[string]string{"SET RS256": oauth.DeliveryPush, "ID token": oauth.DeliveryIDToken} {
		b.Run(name, func(b *testing.B) {
			e := openEngine(b)
			crypto := newReceiver(b)
			crypto.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
			s := e.stream("crypto.backend", crypto, func(s *courier.Stream) { s.Method = method })
			e.queue(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			e.tick()
			b.StopTimer()
			e.wantStanding(s.ID, 0, 0)
		})
	}
}

// BenchmarkLookAtALongQueue is the look for what is due in a stream with 100,000
// that wait and 1,000,000 that went before.
func BenchmarkLookAtALongQueue(b *testing.B) {
	dbtest.SQLiteOnly(b)
	e := openEngine(b)
	e.stream("crypto.backend", newReceiver(b))
	add := func(n int, state string) {
		e.update(func(tx *db.Tx) error {
			_, err := tx.Exec(e.ctx, `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
				INSERT INTO delivery (seq, stream, id, type, key, sealed, state, attempts, due_at, created_at, settled_at, fault)
				SELECT n + (SELECT COALESCE(MAX(seq), 0) FROM delivery), 'stream-crypto.backend', $2 || n, 'x', randomblob(8), zeroblob(300), $2, 0,
					CASE WHEN $2 = 'pending' THEN $3 END, $3, CASE WHEN $2 <> 'pending' THEN $3 END, '' FROM numbers`,
				n, state, db.Millis(e.clock.Now()))
			return err
		})
	}
	add(1_000_000, "done")
	add(100_000, "pending")
	b.Run("due", func(b *testing.B) {
		for b.Loop() {
			e.must(e.DB.Read(e.ctx, func(tx *db.Tx) error {
				due, err := outbox.Due(e.ctx, tx, "stream-crypto.backend", e.clock.Now(), 32)
				if len(due) != 32 {
					b.Fatal(len(due))
				}
				return err
			}))
		}
	})
	b.Run("poll", func(b *testing.B) {
		for b.Loop() {
			e.must(e.DB.Read(e.ctx, func(tx *db.Tx) error {
				_, err := outbox.Pending(e.ctx, tx, "stream-crypto.backend", 32)
				return err
			}))
		}
	})
	b.Run("settle 8", func(b *testing.B) {
		seq := int64(1_000_001)
		for b.Loop() {
			e.update(func(tx *db.Tx) error {
				seqs := []int64{seq, seq + 1, seq + 2, seq + 3, seq + 4, seq + 5, seq + 6, seq + 7}
				return outbox.Done(e.ctx, tx, e.clock.Now().Add(time.Second), seqs)
			})
			seq += 8
		}
	})
}
