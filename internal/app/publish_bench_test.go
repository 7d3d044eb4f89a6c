package app_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkPublish publishes events to two receivers, alone and with sixteen
// requests under way.
func BenchmarkPublish(b *testing.B) {
	for _, side := range []int{1, 16} {
		b.Run(strconv.Itoa(side), func(b *testing.B) {
			w := setup(b)
			for _, id := range []string{"crypto.worker", "pay.backend"} {
				w.receiver(id).makeStream(pollDelivery)
			}
			publisher, n := w.publisher(), atomic.Int64{}
			b.SetParallelism(max(1, side/2))
			b.ReportAllocs()
			b.ResetTimer()
			publish := func() {
				w.clock.Advance(time.Millisecond) // within the client's rate
				if a := publisher.send(http.MethodPost, "/events", w.event("sale-"+strconv.FormatInt(n.Add(1), 10))); a.status != http.StatusAccepted {
					b.Errorf("%d %s", a.status, a.body)
				}
			}
			if side == 1 {
				for b.Loop() {
					publish()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					publish()
				}
			})
		})
	}
}
