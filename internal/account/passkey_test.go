package account_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/passkeytest"
)

func newDevice(t testing.TB) *passkeytest.Authenticator {
	t.Helper()
	return passkeytest.New(t, origin, "id.test")
}

const page = "sign in at this page"

// addPasskey registers an authenticator for a person.
func (b *bundle) addPasskey(t testing.TB, who *account.Account, device *passkeytest.Authenticator, name string) error {
	t.Helper()
	_, err := b.AddPasskey(t.Context(), account.NewPasskey{
		AccountID: who.ID, Purpose: "settings", Response: device.Create(b.NewPasskeyOptions(who, "settings", b.methods(t, who).Passkeys)), Name: name,
	})
	return err
}

func (b *bundle) methods(t testing.TB, who *account.Account) (m account.Methods) {
	t.Helper()
	err := b.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		m, err = b.Methods(t.Context(), tx, who.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who, device := b.signUp(t, email), newDevice(t)
	if err := b.addPasskey(t, who, device, "  Phone "); err != nil {
		t.Fatal(err)
	}
	if options := b.NewPasskeyOptions(who, "settings", b.methods(t, who).Passkeys); !strings.Contains(options, passkeytest.B64(device.ID)) || strings.Contains(options, who.ID) {
		t.Errorf("a second passkey in the same device is not ruled out, or the options tell the account: %s", options)
	}
	b.clock.Advance(time.Hour)
	got, key, err := b.CheckPasskey(t.Context(), account.PasskeyAttempt{Purpose: page, Response: device.Get(b.PasskeyOptions(page, nil))})
	if err != nil || got.ID != who.ID || key.Name != "Phone" || key.Synced {
		t.Fatalf("%v, %v, %v", got, key, err)
	}
	held := b.methods(t, who)
	if len(held.Passkeys) != 1 || !held.Passkeys[0].UsedAt.Equal(b.clock.Now()) || !held.Second() || !held.Password {
		t.Errorf("the person has %+v", held)
	}
	if changes := b.events(t, audit.CredentialChanged); len(changes) != 1 || changes[0].Detail["credential"] != "fido2-platform" {
		t.Errorf("recorded %+v", changes)
	}
	if err := b.RenamePasskey(t.Context(), who.ID, device.ID, "Old phone"); err != nil {
		t.Error(err)
	}
	if err := b.RemovePasskey(t.Context(), who.ID, device.ID, account.Origin{}); err != nil {
		t.Error(err)
	}
	if _, _, err := b.CheckPasskey(t.Context(), account.PasskeyAttempt{Purpose: page, Response: device.Get(b.PasskeyOptions(page, nil))}); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("a removed passkey: %v", err)
	}
}

// TestPasskeysRefused is row N8.
func TestPasskeysRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, ben := b.signUp(t, email), b.signUp(t, "ben@example.com")
	device, other := newDevice(t), newDevice(t)
	device.Count = 7
	if err := errors.Join(b.addPasskey(t, alice, device, "a"), b.addPasskey(t, ben, other, "b")); err != nil {
		t.Fatal(err)
	}
	check := func(response, purpose, accountID string) error {
		_, _, err := b.CheckPasskey(t.Context(), account.PasskeyAttempt{Purpose: purpose, Response: response, AccountID: accountID})
		return err
	}
	for name, answer := range map[string]func(*passkeytest.Authenticator) string{
		"another origin": func(d *passkeytest.Authenticator) string {
			d.Origin = "https://evil.test"
			return d.Get(b.PasskeyOptions(page, nil))
		},
		"another RP": func(d *passkeytest.Authenticator) string {
			d.RPID = "evil.test"
			return d.Get(b.PasskeyOptions(page, nil))
		},
		"nobody made sure who it is": func(d *passkeytest.Authenticator) string {
			d.Verified = false
			return d.Get(b.PasskeyOptions(page, nil))
		},
		"made for a registration": func(d *passkeytest.Authenticator) string {
			d.Kind = "webauthn.create"
			return d.Get(b.PasskeyOptions(page, nil))
		},
		"another's key": func(d *passkeytest.Authenticator) string {
			d.Key = other.Key
			return d.Get(b.PasskeyOptions(page, nil))
		},
		"another person's handle": func(d *passkeytest.Authenticator) string {
			d.Handle = other.Handle
			return d.Get(b.PasskeyOptions(page, nil))
		},
		"no handle":                   func(d *passkeytest.Authenticator) string { d.Handle = nil; return d.Get(b.PasskeyOptions(page, nil)) },
		"a challenge of another page": func(d *passkeytest.Authenticator) string { return d.Get(b.PasskeyOptions("another page", nil)) },
		"a challenge of its own": func(d *passkeytest.Authenticator) string {
			return d.Get(`{"challenge":"` + passkeytest.B64(make([]byte, 56)) + `"}`)
		},
		"no challenge":                 func(d *passkeytest.Authenticator) string { return d.Get(`{}`) },
		"it can be in several devices": func(d *passkeytest.Authenticator) string { d.Synced = true; return d.Get(b.PasskeyOptions(page, nil)) },
		"nobody's passkey": func(d *passkeytest.Authenticator) string {
			d.ID = make([]byte, 32)
			return d.Get(b.PasskeyOptions(page, nil))
		},
		"no JSON": func(*passkeytest.Authenticator) string { return "{" },
		"nothing": func(*passkeytest.Authenticator) string { return "" },
	} {
		used := *device
		used.Count = 8
		if err := check(answer(&used), page, ""); !errors.Is(err, account.ErrPasskey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	device.Count = 8
	late := device.Get(b.PasskeyOptions(page, nil))
	b.clock.Advance(5*time.Minute + time.Second)
	if err := check(late, page, ""); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("after five minutes: %v", err)
	}
	if err := check(device.Get(b.PasskeyOptions(page, nil)), page, ben.ID); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("where another person is asked: %v", err)
	}
	good := device.Get(b.PasskeyOptions(page, nil))
	if err := check(good, page, alice.ID); err != nil {
		t.Fatal(err)
	}
	if err := check(good, page, alice.ID); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("twice: %v", err)
	}
	b.update(t, b.disable(ben.ID))
	if err := check(other.Get(b.PasskeyOptions(page, nil)), page, ""); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("a disabled person: %v", err)
	}
	// A counter that goes backwards is that of a copy: the passkey is not taken again,
	// not even with a higher one.
	device.Count = 3
	if err := check(device.Get(b.PasskeyOptions(page, nil)), page, ""); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("a counter that went backwards: %v", err)
	}
	device.Count = 100
	if err := check(device.Get(b.PasskeyOptions(page, nil)), page, ""); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("after that: %v", err)
	}
	held := b.methods(t, alice)
	if !held.Passkeys[0].Suspect || held.Second() {
		t.Errorf("it is not shown as suspect: %+v", held)
	}
}

// TestPasskeyChallengeIsTakenOnce of a hundred that answer it at once.
func TestPasskeyChallengeIsTakenOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who, device := b.signUp(t, email), newDevice(t)
	if err := b.addPasskey(t, who, device, "a"); err != nil {
		t.Fatal(err)
	}
	answer := device.Get(b.PasskeyOptions(page, nil))
	var group sync.WaitGroup
	var taken atomic.Int32
	for range 100 {
		group.Go(func() {
			_, _, err := b.CheckPasskey(t.Context(), account.PasskeyAttempt{Purpose: page, Response: answer})
			switch {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, account.ErrPasskey):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if taken.Load() != 1 {
		t.Errorf("taken %d times", taken.Load())
	}
	b.clock.Advance(time.Hour)
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantRows(t, "used_challenge", 0)
}

func TestNewPasskeysRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, ben := b.signUp(t, email), b.signUp(t, "ben@example.com")
	device := newDevice(t)
	add := func(who *account.Account, purpose, response, name string) error {
		_, err := b.AddPasskey(t.Context(), account.NewPasskey{AccountID: who.ID, Purpose: purpose, Response: response, Name: name})
		return err
	}
	options := b.NewPasskeyOptions(alice, "settings", nil)
	unverified, foreign := *device, *device
	unverified.Verified, foreign.Origin = false, "https://evil.test"
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"nobody made sure who it is": {add(alice, "settings", unverified.Create(options), "x"), account.ErrPasskey},
		"another origin":             {add(alice, "settings", foreign.Create(options), "x"), account.ErrPasskey},
		"another page":               {add(alice, "elsewhere", device.Create(options), "x"), account.ErrPasskey},
		"no JSON":                    {add(alice, "settings", "x", "x"), account.ErrPasskey},
		"an answer to a sign-in":     {add(alice, "settings", device.Get(b.PasskeyOptions("settings", nil)), "x"), account.ErrPasskey},
		"no name":                    {add(alice, "settings", device.Create(options), "   "), account.ErrPasskeyName},
		"a long name":                {add(alice, "settings", device.Create(options), strings.Repeat("あ", 61)), account.ErrPasskeyName},
		"an unknown account":         {add(&account.Account{ID: "nobody"}, "settings", device.Create(options), "x"), account.ErrUnknown},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
	}
	answer := device.Create(options)
	if err := add(alice, "settings", answer, "x"); err != nil {
		t.Fatal(err)
	}
	if err := add(alice, "settings", answer, "x"); !errors.Is(err, account.ErrPasskey) {
		t.Errorf("one answer twice: %v", err)
	}
	if err := b.addPasskey(t, ben, device, "x"); !errors.Is(err, account.ErrPasskeyKnown) {
		t.Errorf("another person's passkey: %v", err)
	}
	for i := 1; i < account.MaxPasskeys; i++ {
		if err := b.addPasskey(t, alice, newDevice(t), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.addPasskey(t, alice, newDevice(t), "x"); !errors.Is(err, account.ErrPasskeysFull) {
		t.Errorf("more than there may be: %v", err)
	}
	if err := b.RenamePasskey(t.Context(), ben.ID, device.ID, "mine"); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("another's passkey is renamed: %v", err)
	}
	if err := b.RemovePasskey(t.Context(), ben.ID, device.ID, account.Origin{}); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("another's passkey is removed: %v", err)
	}
}

// TestPasskeysInPlaceOfThePassword: nobody is left without a way to sign in, and a deleted
// person leaves nothing behind.
func TestPasskeysInPlaceOfThePassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who, device := b.signUp(t, email), newDevice(t)
	device.Synced = true
	if err := b.RemovePassword(t.Context(), who.ID, account.Origin{}); !errors.Is(err, account.ErrLastMethod) {
		t.Errorf("the only way: %v", err)
	}
	if err := b.addPasskey(t, who, device, "a"); err != nil {
		t.Fatal(err)
	}
	if err := b.RemovePassword(t.Context(), who.ID, account.Origin{}); err != nil {
		t.Fatal(err)
	}
	if err := b.attempt(t.Context(), email, password, home, ""); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("the removed password: %v", err)
	}
	if err := b.RemovePasskey(t.Context(), who.ID, device.ID, account.Origin{}); !errors.Is(err, account.ErrLastMethod) {
		t.Errorf("the only passkey: %v", err)
	}
	_, key, err := b.CheckPasskey(t.Context(), account.PasskeyAttempt{Purpose: page, Response: device.Get(b.PasskeyOptions(page, nil))})
	if err != nil || !key.Synced {
		t.Errorf("%+v, %v", key, err)
	}
	b.update(t, b.remove(who.ID))
	for _, table := range []string{"passkey", "totp", "recovery_code", "password"} {
		b.wantRows(t, table, 0)
	}
}

// TestNoPasskeysAtTheAddressOfAMachine: browsers have none for 127.0.0.1.
func TestNoPasskeysAtTheAddressOfAMachine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for origin, want := range map[string]bool{
		"https://id.test": true, "http://localhost:8080": true, "http://127.0.0.1:8080": false, "http://[::1]:8080": false, "": false,
	} {
		config := b.config
		config.Site = func() (string, string) { return origin, "" }
		people, err := account.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if people.TakesPasskeys() != want {
			t.Errorf("%q takes passkeys: %t", origin, !want)
		}
	}
}
