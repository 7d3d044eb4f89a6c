package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
)

func (b *bundle) disable(id string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, id, account.Origin{}) }
}

func (b *bundle) remove(id string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error { return b.Delete(ctx, tx, id, account.Origin{}) }
}

func (b *bundle) wantRows(t testing.TB, table string, want int) {
	t.Helper()
	var n int
	err := b.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n)
	})
	if err != nil || n != want {
		t.Errorf("%s has %d rows, want %d (%v)", table, n, want, err)
	}
}

// app is an authenticator app.
type app struct {
	b      *bundle
	secret string
}

func (a app) code(t testing.TB) string {
	t.Helper()
	code, err := totp.GenerateCode(a.secret, a.b.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// addApp sets up an app of a person.
func (b *bundle) addApp(t testing.TB, who *account.Account) app {
	t.Helper()
	setup, err := b.NewTOTP(who)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(setup.URI)
	if err != nil || uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/Example Market:"+who.Email || uri.Query().Get("issuer") != "Example Market" {
		t.Fatalf("%s, %v", setup.URI, err)
	}
	made := app{b, uri.Query().Get("secret")}
	if strings.ReplaceAll(setup.Secret, "-", "") != made.secret {
		t.Errorf("%s to type, %s to scan", setup.Secret, made.secret)
	}
	if err := b.ConfirmTOTP(t.Context(), who.ID, setup.Sealed, made.code(t), account.Origin{}); err != nil {
		t.Fatal(err)
	}
	return made
}

func (b *bundle) checkCode(t testing.TB, who *account.Account, code string) error {
	t.Helper()
	return b.CheckCode(t.Context(), account.CodeAttempt{AccountID: who.ID, Code: code})
}

func TestCodes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := b.signUp(t, email)
	phone := b.addApp(t, who)
	if err := b.checkCode(t, who, phone.code(t)); !errors.Is(err, account.ErrCode) {
		t.Errorf("the code that set it up: %v", err)
	}
	b.clock.Advance(30 * time.Second)
	code := phone.code(t)
	if err := b.checkCode(t, who, " "+code[:3]+"-"+code[3:]+" "); err != nil {
		t.Errorf("a code: %v", err)
	}
	if err := b.checkCode(t, who, code); !errors.Is(err, account.ErrCode) {
		t.Errorf("the same code: %v", err)
	}
	b.clock.Advance(30 * time.Second)
	late := phone.code(t)
	b.clock.Advance(30 * time.Second)
	if err := b.checkCode(t, who, late); err != nil {
		t.Errorf("a code half a minute late: %v", err)
	}
	b.clock.Advance(30 * time.Second)
	old := phone.code(t)
	b.clock.Advance(90 * time.Second)
	if err := b.checkCode(t, who, old); !errors.Is(err, account.ErrCode) {
		t.Errorf("an old code: %v", err)
	}
	for _, wrong := range []string{"", "12345", "1234567", "abcdef", strings.Repeat("1", 4096), "aaaa-aaaa-aaaa"} {
		b.clock.Advance(10 * time.Minute)
		if err := b.checkCode(t, who, wrong); !errors.Is(err, account.ErrCode) {
			t.Errorf("%.20q: %v", wrong, err)
		}
	}
	b.clock.Advance(10 * time.Minute)
	wide := strings.Map(func(c rune) rune { return c - '0' + '０' }, phone.code(t))
	if err := b.checkCode(t, who, wide); err != nil {
		t.Errorf("as a Japanese keyboard writes it: %v", err)
	}
	if err := b.checkCode(t, &account.Account{ID: "nobody"}, code); !errors.Is(err, account.ErrCode) {
		t.Errorf("of nobody: %v", err)
	}
	b.update(t, b.disable(who.ID))
	b.clock.Advance(time.Minute)
	if err := b.checkCode(t, who, phone.code(t)); !errors.Is(err, account.ErrCode) {
		t.Errorf("of a disabled person: %v", err)
	}
}

func TestAppIsConfirmedFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who, other := b.signUp(t, email), b.signUp(t, "ben@example.com")
	setup, err := b.NewTOTP(who)
	if err != nil {
		t.Fatal(err)
	}
	phone := app{b, strings.ReplaceAll(setup.Secret, "-", "")}
	confirm := func(who *account.Account, sealed, code string) error {
		return b.ConfirmTOTP(t.Context(), who.ID, sealed, code, account.Origin{})
	}
	for name, err := range map[string]error{
		"a wrong code":               confirm(who, setup.Sealed, "000000"),
		"another person":             confirm(other, setup.Sealed, phone.code(t)),
		"another setup":              confirm(who, setup.Sealed[:len(setup.Sealed)-2]+"AA", phone.code(t)),
		"nothing":                    confirm(who, "", phone.code(t)),
		"removing what is not there": b.RemoveTOTP(t.Context(), who.ID, account.Origin{}),
	} {
		if !errors.Is(err, account.ErrCode) && !errors.Is(err, account.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.methods(t, who).TOTP {
		t.Fatal("the app is there without a right code")
	}
	b.clock.Advance(31 * time.Minute)
	if err := confirm(who, setup.Sealed, phone.code(t)); !errors.Is(err, account.ErrCode) {
		t.Errorf("an old setup: %v", err)
	}
	b.addApp(t, who)
	if err := b.RemoveTOTP(t.Context(), who.ID, account.Origin{}); err != nil || b.methods(t, who).TOTP {
		t.Errorf("removed: %v", err)
	}
}

// TestCodesAreUsedOnce by a hundred that try at once (row N7).
func TestCodesAreUsedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := b.signUp(t, email)
	phone := b.addApp(t, who)
	recovery, err := b.NewRecoveryCodes(t.Context(), who.ID, account.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{recovery[0], ""} {
		b.clock.Advance(10 * time.Minute)
		if code == "" {
			code = phone.code(t)
		}
		var group sync.WaitGroup
		var taken atomic.Int32
		for range 100 {
			group.Go(func() {
				var throttled *account.ThrottledError
				switch err := b.checkCode(t, who, code); {
				case err == nil:
					taken.Add(1)
				case !errors.Is(err, account.ErrCode) && !errors.As(err, &throttled):
					t.Error(err)
				}
			})
		}
		group.Wait()
		if taken.Load() != 1 {
			t.Errorf("taken %d times", taken.Load())
		}
	}
	if left := b.methods(t, who).RecoveryCodes; left != 9 {
		t.Errorf("%d recovery codes are left", left)
	}
	again, err := b.NewRecoveryCodes(t.Context(), who.ID, account.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(10 * time.Minute)
	if err := b.checkCode(t, who, recovery[1]); !errors.Is(err, account.ErrCode) {
		t.Errorf("a code from before: %v", err)
	}
	b.clock.Advance(10 * time.Minute)
	if err := b.checkCode(t, who, strings.ToUpper(strings.ReplaceAll(again[1], "-", " "))); err != nil {
		t.Errorf("a new one: %v", err)
	}
}

// TestCodesAreThrottled: after five wrong ones one must wait, and a right one ends that.
func TestCodesAreThrottled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := b.signUp(t, email)
	phone := b.addApp(t, who)
	b.clock.Advance(time.Minute)
	for i := range 5 {
		if err := b.checkCode(t, who, fmt.Sprintf("%06d", i)); !errors.Is(err, account.ErrCode) {
			t.Fatal(err)
		}
	}
	var throttled *account.ThrottledError
	if err := b.checkCode(t, who, phone.code(t)); !errors.As(err, &throttled) {
		t.Errorf("the sixth: %v", err)
	}
	b.clock.Advance(time.Second)
	if err := b.checkCode(t, who, phone.code(t)); err != nil {
		t.Errorf("after a second: %v", err)
	}
	if err := b.checkCode(t, who, "000000"); !errors.Is(err, account.ErrCode) {
		t.Errorf("after a right one: %v", err)
	}
}

// TestCodesAreNotInTheDatabase: neither the secret of an app nor a recovery code can be
// read from it.
func TestCodesAreNotInTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := b.signUp(t, email)
	phone := b.addApp(t, who)
	codes, err := b.NewRecoveryCodes(t.Context(), who.ID, account.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	var sealed, hash []byte
	err = b.DB.Read(t.Context(), func(tx *db.Tx) error {
		return errors.Join(tx.Row(t.Context(), "SELECT sealed FROM totp").Scan(&sealed), tx.Row(t.Context(), "SELECT hash FROM recovery_code LIMIT 1").Scan(&hash))
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := string(sealed) + string(hash)
	for _, secret := range append(codes, phone.secret) {
		if strings.Contains(kept, secret) || strings.Contains(kept, strings.ReplaceAll(secret, "-", "")) {
			t.Errorf("%s is kept as it is", secret)
		}
	}
}
