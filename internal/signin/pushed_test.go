package signin_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/signin"
)

// TestPushedRequestsGo: what was pushed and never begun with, or never answered, is
// gone when no page can be open any more (check Q5), and after a restore at once.
func TestPushedRequestsGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client, ok := b.registry.Current().Client("shop.web")
	if !ok {
		t.Fatal("no such client")
	}
	push := func() {
		_, _, err := b.door.Push(t.Context(), client, url.Values{
			"redirect_uri": {"https://a.example/cb"}, "response_type": {"code"}, "scope": {"openid"},
			"code_challenge": {challenge}, "code_challenge_method": {"S256"},
		}, "")
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := func() (n int) {
		b.read(func(ctx context.Context, tx *db.Tx) error {
			return tx.Row(ctx, `SELECT count(*) FROM pushed_request`).Scan(&n)
		})
		return n
	}
	push()
	b.clock.Advance(31*time.Minute - time.Millisecond)
	push()
	for _, want := range []int{2, 1} {
		if err := b.door.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := kept(); n != want {
			t.Errorf("%d pushed requests are kept, want %d", n, want)
		}
		b.clock.Advance(time.Millisecond)
	}
	err := b.database.Update(t.Context(), func(tx *db.Tx) error {
		n, err := signin.ForgetRequests(t.Context(), tx)
		if n != 1 {
			t.Errorf("%d requests forgotten", n)
		}
		return err
	})
	if err != nil || kept() != 0 {
		t.Errorf("%v, %d are left", err, kept())
	}
}
