package account_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
)

// After five failures the waits are 1, 2, 4 … 300 seconds, and a hundred are
// evaluated at most.
func TestDelaysGrow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	wants := []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300}
	for i := range 100 {
		from := network(i)
		if err := b.attempt(t.Context(), email, "wrong", from, ""); !errors.Is(err, account.ErrCredentials) {
			t.Fatalf("attempt %d: %v", i+1, err)
		}
		if i == 99 {
			break
		}
		want := wants[min(i, len(wants)-1)] * time.Second
		if want == 0 {
			continue
		}
		wait := refusal(t, b.attempt(t.Context(), email, password, from, ""))
		if wait.RetryAfter != want || wait.KnownDeviceOnly {
			t.Fatalf("after failure %d the wait is %v, not %v", i+1, wait.RetryAfter, want)
		}
		b.clock.Advance(want - time.Millisecond)
		refusal(t, b.attempt(t.Context(), email, password, from, ""))
		b.clock.Advance(time.Millisecond)
	}
	b.clock.Advance(time.Hour)
	if wait := refusal(t, b.attempt(t.Context(), email, password, network(1000), "")); !wait.KnownDeviceOnly {
		t.Errorf("after a hundred failures: %+v", wait)
	}
	// The row of failures is forgotten in the end: nobody is locked out for ever.
	b.clock.Advance(30 * 24 * time.Hour)
	if err := b.attempt(t.Context(), email, password, network(1000), ""); err != nil {
		t.Error(err)
	}
}

// Names that nobody has are throttled as if somebody had them.
func TestUnknownNamesAreThrottledAlike(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	for i := range 8 {
		for _, spelling := range []string{"Nobody@example.com", "nobody@EXAMPLE.com"} {
			known := b.attempt(t.Context(), email, "wrong", network(i), "")
			unknown := b.attempt(t.Context(), spelling, "wrong", network(i), "")
			if known.Error() != unknown.Error() {
				t.Fatalf("known: %v, unknown: %v", known, unknown)
			}
		}
	}
}

// A thousand wrong passwords from fifty addresses, side by side: at most a
// hundred are evaluated over all the time, and no more at one time than one
// after the other; the person's own device signs in at once all the while.
func TestAttackFromManyAddresses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	device := b.DeviceToken(a.ID)
	spellings := []string{email, "ALICE@EXAMPLE.COM", "ａlice@example.com", " alice@example.com"}
	var evaluated atomic.Int64
	const atOnce = 8
	for round := range 1000 / atOnce {
		var group sync.WaitGroup
		for i := range atOnce {
			group.Go(func() {
				err := b.attempt(t.Context(), spellings[i%4], "wrong", network((atOnce*round+i)%50), "")
				var wait *account.ThrottledError
				switch {
				case errors.Is(err, account.ErrCredentials):
					evaluated.Add(1)
				case errors.Is(err, db.ErrUnavailable): // a slow disk refuses attempts too
				case !errors.As(err, &wait):
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		group.Wait()
		if got, most := evaluated.Load(), int64(min(5+round, 100)); got > most {
			t.Fatalf("round %d: %d attempts were evaluated, not at most %d", round, got, most)
		}
		b.clock.Advance(300 * time.Second)
	}
	if err := b.attempt(t.Context(), email, password, network(3), device); err != nil {
		t.Errorf("known device: %v", err)
	}
	if n := int64(len(b.events(t, audit.SignInFailed))); n != evaluated.Load() {
		t.Errorf("audit has %d failures, %d were answered", n, evaluated.Load())
	}
}

func TestKnownDeviceHasItsOwnCounter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, other := b.signUp(t, email), b.signUp(t, "bob@example.com")
	device := b.DeviceToken(a.ID)
	for range 60 { // the network is exhausted, and the person's counter far along
		_ = b.attempt(t.Context(), email, "wrong", home, "")
		_ = b.attempt(t.Context(), "bob@example.com", "wrong", home, "")
		b.clock.Advance(time.Second)
	}
	refusal(t, b.attempt(t.Context(), email, password, home, ""))
	refusal(t, b.attempt(t.Context(), email, password, home, b.DeviceToken(other.ID)))
	refusal(t, b.attempt(t.Context(), email, password, home, device[1:]))
	refusal(t, b.attempt(t.Context(), email, password, home, "A"+device))
	if err := b.attempt(t.Context(), email, password, home, device); err != nil {
		t.Fatalf("known device: %v", err)
	}

	for range 5 {
		if err := b.attempt(t.Context(), email, "wrong", home, device); !errors.Is(err, account.ErrCredentials) {
			t.Fatal(err)
		}
	}
	if wait := refusal(t, b.attempt(t.Context(), email, password, home, device)); wait.RetryAfter != time.Second {
		t.Errorf("a known device that fails waits %v", wait.RetryAfter)
	}
	b.clock.Advance(time.Second)
	if err := b.attempt(t.Context(), email, password, home, device); err != nil {
		t.Error(err)
	}
	b.clock.Advance(account.DeviceTokenLife + time.Second)
	for range 5 {
		_ = b.attempt(t.Context(), email, "wrong", network(1), "")
	}
	refusal(t, b.attempt(t.Context(), email, password, home, device)) // too old to be known
}

// A device that has failed a hundred times is as good as unknown.
func TestDeviceIsForgottenAfterAHundredFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	device := b.DeviceToken(a.ID)
	for range 100 {
		if err := b.attempt(t.Context(), email, "wrong", home, device); !errors.Is(err, account.ErrCredentials) {
			t.Fatal(err)
		}
		b.clock.Advance(300 * time.Second)
	}
	for range 5 {
		if err := b.attempt(t.Context(), email, "wrong", home, device); !errors.Is(err, account.ErrCredentials) {
			t.Fatal(err)
		}
	}
	refusal(t, b.attempt(t.Context(), email, password, home, device))
}

func TestNetworkIsThrottled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	for i := range 50 {
		if err := b.attempt(t.Context(), numbered(i), "wrong", addressOf("198.51.100.0", i), ""); !errors.Is(err, account.ErrCredentials) {
			t.Fatalf("failure %d: %v", i+1, err)
		}
		b.clock.Advance(time.Second)
	}
	if wait := refusal(t, b.attempt(t.Context(), email, password, addressOf("198.51.100.0", 200), "")); wait.RetryAfter != 10*time.Minute-50*time.Second {
		t.Errorf("the network waits %v", wait.RetryAfter)
	}
	if err := b.attempt(t.Context(), email, password, addressOf("198.51.101.0", 1), ""); err != nil {
		t.Errorf("the network next to it: %v", err)
	}
	if err := b.attempt(t.Context(), email, password, netip.MustParseAddr("::ffff:198.51.101.1"), ""); err != nil {
		t.Errorf("the same in IPv6 form: %v", err)
	}
	b.clock.Advance(10*time.Minute - 50*time.Second)
	if err := b.attempt(t.Context(), email, password, addressOf("198.51.100.0", 200), ""); err != nil {
		t.Errorf("ten minutes later: %v", err)
	}
}

func TestNetworkOfIPv6IsSlash64(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 50 {
		_ = b.attempt(t.Context(), numbered(i), "wrong", addressOf("2001:db8:1:1::", i), "")
	}
	refusal(t, b.attempt(t.Context(), email, "wrong", netip.MustParseAddr("2001:db8:1:1:ffff::1"), ""))
	if err := b.attempt(t.Context(), email, "wrong", netip.MustParseAddr("2001:db8:1:2::1"), ""); !errors.Is(err, account.ErrCredentials) {
		t.Error(err)
	}
}

// Successes cost a network nothing: a whole office may sign in through one
// address.
func TestSuccessesAreNoFailuresOfTheNetwork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	for i := range 120 {
		if err := b.attempt(t.Context(), email, password, home, ""); err != nil {
			t.Fatalf("sign-in %d: %v", i, err)
		}
	}
}

func TestSweepRemovesWhatHasRunOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 30 {
		_ = b.attempt(t.Context(), numbered(i), "wrong", network(i), "")
	}
	b.signUp(t, email)
	b.clock.Advance(23 * time.Hour)
	_ = b.attempt(t.Context(), email, "wrong", network(1), "")
	b.clock.Advance(time.Hour)
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := countRows(t, b.DB, "SELECT COUNT(*) FROM throttle"); n != 1 {
		t.Errorf("%d counters are left, not 1", n)
	}
}

func refusal(t testing.TB, err error) *account.ThrottledError {
	t.Helper()
	var wait *account.ThrottledError
	if !errors.As(err, &wait) {
		t.Fatalf("not throttled: %v", err)
	}
	if wait.RetryAfter <= 0 || wait.Seconds() < 1 {
		t.Fatalf("the wait is %v", wait.RetryAfter)
	}
	return wait
}

// network is an address of its own /24 for each i.
func network(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24|uint32(i)<<8|1)
	return netip.AddrFrom4(b)
}

// addressOf is the i-th address of a network.
func addressOf(base string, i int) netip.Addr {
	a := netip.MustParseAddr(base)
	b := a.AsSlice()
	b[len(b)-1] = byte(i)
	a, _ = netip.AddrFromSlice(b)
	return a
}

func numbered(i int) string {
	return "user" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "@example.com"
}

// An attempt whose network is not known is throttled with all others of the kind.
func TestUnknownNetworkIsOneNetwork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 50 {
		_ = b.attempt(t.Context(), numbered(i), "wrong", netip.Addr{}, "")
	}
	refusal(t, b.attempt(t.Context(), email, "wrong", netip.Addr{}, ""))
}
