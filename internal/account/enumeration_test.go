package account_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// BenchmarkWhoHasAnAccount is row N5: whether an address has an account must not show in
// the time that a wrong password takes. It prints the mean difference of interleaved
// pairs and Welch's t of them; |t| < 4.5, or a difference below a millisecond, passes.
func BenchmarkWhoHasAnAccount(b *testing.B) {
	if testing.Short() {
		b.Skip("makes thousands of attempts")
	}
	const pairs = 2000
	t := setup(b)
	config := t.config
	config.Hasher = secret.NewHasher(secret.HasherConfig{AtOnce: 1}) // as in production
	people, err := account.Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	hash, err := config.Hasher.Hash(b.Context(), password)
	if err != nil {
		b.Fatal(err)
	}
	var imported []account.Imported
	for i := range pairs {
		imported = append(imported,
			account.Imported{Email: fmt.Sprintf("known%d@example.com", i), PasswordHash: hash},
			account.Imported{Email: fmt.Sprintf("disabled%d@example.com", i), PasswordHash: hash, Disabled: true},
			account.Imported{Email: fmt.Sprintf("passkeyonly%d@example.com", i)})
	}
	if _, err := people.Import(b.Context(), imported, account.Origin{}); err != nil {
		b.Fatal(err)
	}
	source := uint32(0)
	attempt := func(email, password string) time.Duration {
		source++ // each from a network of its own
		from := netip.AddrFrom4([4]byte{10 + byte(source>>16), byte(source >> 8), byte(source), 1})
		started := time.Now()
		_, err := people.CheckPassword(b.Context(), account.Attempt{Login: email, Password: password, Origin: account.Origin{Source: from}})
		if !errors.Is(err, account.ErrCredentials) {
			b.Fatalf("%s: %v", email, err)
		}
		return time.Since(started)
	}
	for name, of := range map[string]func(i int) time.Duration{
		"known": func(i int) time.Duration {
			return attempt(fmt.Sprintf("known%d@example.com", i), "not this one at all")
		},
		"disabled": func(i int) time.Duration {
			return attempt(fmt.Sprintf("disabled%d@example.com", i), "not this one at all")
		},
		"passkey only": func(i int) time.Duration {
			return attempt(fmt.Sprintf("passkeyonly%d@example.com", i), "not this one at all")
		},
	} {
		var a, c sample
		for i := range pairs {
			nobody := func() { a.add(attempt(fmt.Sprintf("nobody%s%d@example.com", name, i), "not this one at all")) }
			somebody := func() { c.add(of(i)) }
			inTurns(i, nobody, somebody)
		}
		fmt.Printf("sign-in of nobody and of somebody %-12s: difference of the means %+.3f ms, Welch's t %+.2f\n", name, (c.mean()-a.mean())*1000, welch(c, a))
	}
	var a, c sample
	post := account.Mailing{Post: newPost(b, t.DB), Language: "en", Link: func(token string) string { return token }}
	for i := range pairs {
		send := func(to *sample, email string) {
			started := time.Now()
			if err := people.SendRecovery(b.Context(), email, post, account.Origin{}); err != nil {
				b.Fatal(err)
			}
			to.add(time.Since(started))
		}
		inTurns(i, func() { send(&a, fmt.Sprintf("noletter%d@example.com", i)) }, func() { send(&c, fmt.Sprintf("known%d@example.com", i)) })
	}
	fmt.Printf("a letter to nobody and to somebody: difference of the means %+.3f ms, Welch's t %+.2f\n", (c.mean()-a.mean())*1000, welch(c, a))
}

// inTurns runs both, now the one first and now the other: what the first leaves to the
// garbage collector must not count for one of them alone.
func inTurns(i int, one, other func()) {
	if i%2 == 1 {
		one, other = other, one
	}
	one()
	other()
}

// sample is a row of times, in seconds.
type sample struct{ n, sum, squares float64 }

func (s *sample) add(d time.Duration) {
	x := d.Seconds()
	s.n, s.sum, s.squares = s.n+1, s.sum+x, s.squares+x*x
}

func (s *sample) mean() float64     { return s.sum / s.n }
func (s *sample) variance() float64 { return (s.squares - s.sum*s.sum/s.n) / (s.n - 1) }

func welch(a, b sample) float64 {
	return (a.mean() - b.mean()) / math.Sqrt(a.variance()/a.n+b.variance()/b.n)
}

func newPost(t testing.TB, database *db.DB) *mail.Post {
	t.Helper()
	post, err := mail.New(mail.Config{
		DB: database, Key: make([]byte, secret.KeySize), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Send: func(context.Context, mail.Outgoing) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return post
}
