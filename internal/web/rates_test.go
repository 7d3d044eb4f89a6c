package web_test

import (
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/web"
)

func TestRates(t *testing.T) {
	t.Parallel()
	var rates web.Rates
	now := time.Unix(1_800_000_000, 0)
	take := func(name string, burst int) bool { return rates.Take(now, name, 1, burst) }
	if !take("a", 2) || !take("a", 2) || take("a", 2) {
		t.Error("a burst of two is not two")
	}
	if !take("b", 2) {
		t.Error("one name pays for another")
	}
	now = now.Add(time.Second)
	if !take("a", 2) || take("a", 2) {
		t.Error("a second does not give one more")
	}
	if !take("a", 3) {
		t.Error("a new limit does not count at once")
	}
}
