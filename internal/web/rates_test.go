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
	want := func(what, name string, burst int, answers ...bool) {
		t.Helper()
		for i, answer := range answers {
			if rates.Take(now, name, 1, burst) != answer {
				t.Errorf("%s: request %d is not %t", what, i+1, answer)
			}
		}
	}
	want("a burst of two", "a", 2, true, true, false)
	want("another name pays for itself", "b", 2, true)
	now = now.Add(time.Second)
	want("a second gives one more", "a", 2, true, false)
	want("a new limit counts at once", "a", 3, true, true, true, false)
}
