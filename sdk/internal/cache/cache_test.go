package cache_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/internal/cache"
)

func TestLRU(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	held := cache.New[string, int](2, func() time.Time { return now })
	want := func(key string, value int, found bool) {
		t.Helper()
		if got, ok := held.Get(key); got != value || ok != found {
			t.Errorf("%s: got %d, %v", key, got, ok)
		}
	}
	held.Put("a", 1, now.Add(time.Minute))
	held.Put("b", 2, now.Add(time.Hour))
	want("a", 1, true)
	held.Put("c", 3, now.Add(time.Hour)) // b was used last the longest ago
	want("b", 0, false)
	want("a", 1, true)
	held.Put("a", 4, now.Add(2*time.Minute))
	want("a", 4, true)
	held.Delete("c")
	want("c", 0, false)
	now = now.Add(2 * time.Minute)
	want("a", 0, false)
	held.Put("d", 5, now) // over before it begins
	want("d", 0, false)
	if n := held.Len(); n != 0 {
		t.Errorf("%d entries left", n)
	}
}

func TestLRUInParallel(t *testing.T) {
	t.Parallel()
	held := cache.New[int, int](10, time.Now)
	var wait sync.WaitGroup
	for n := range 50 {
		wait.Go(func() {
			held.Put(n, n, time.Now().Add(time.Hour))
			if got, found := held.Get(n); found && got != n {
				t.Errorf("%d for %d", got, n)
			}
			held.Delete(n - 1)
		})
	}
	wait.Wait()
	if n := held.Len(); n > 10 {
		t.Errorf("%d entries", n)
	}
}
