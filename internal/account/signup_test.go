package account_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

func TestSignUpAndFind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.SignUp(t.Context(), account.NewAccount{
		Email: " Älice@Bücher.example ", EmailVerified: true, Password: password, Profile: completeProfile(),
		Origin: account.Origin{Source: home},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.ID) != 32 || made.Ref.Nobody() || made.Ref.Gen != 1 || !made.Active() || made.Email != "Älice@Bücher.example" {
		t.Errorf("made %+v", made)
	}
	b.update(t, func(ctx context.Context, tx *db.Tx) error {
		for name, find := range map[string]func() (*account.Account, error){
			"id":                 func() (*account.Account, error) { return b.ByID(ctx, tx, made.ID) },
			"handle":             func() (*account.Account, error) { return b.ByHandle(ctx, tx, made.Ref.Handle) },
			"e-mail":             func() (*account.Account, error) { return b.ByEmail(ctx, tx, "Älice@Bücher.example") },
			"e-mail decomposed":  func() (*account.Account, error) { return b.ByEmail(ctx, tx, "A\u0308LICE@bücher.example") },
			"e-mail in punycode": func() (*account.Account, error) { return b.ByEmail(ctx, tx, "älice@xn--bcher-kva.example") },
		} {
			got, err := find()
			if err != nil {
				t.Errorf("by %s: %v", name, err)
				continue
			}
			if got.ID != made.ID || got.Ref != made.Ref || !got.EmailVerified || got.Profile.Name != "Alice Liddell" ||
				*got.Profile.Address != *made.Profile.Address || !got.PasswordChangedAt.Equal(made.PasswordChangedAt) || !got.UpdatedAt.Equal(made.UpdatedAt) {
				t.Errorf("by %s: %+v", name, got)
			}
		}
		if n, err := b.CountActive(ctx, tx); n != 1 || err != nil {
			t.Errorf("%d people, %v", n, err)
		}
		return nil
	})
	if n := len(b.events(t, audit.AccountCreated)); n != 1 {
		t.Errorf("%d audit records", n)
	}
}

func TestNobodyIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	b.update(t, func(ctx context.Context, tx *db.Tx) error {
		if _, err := b.ByID(ctx, tx, secret.ID()); !errors.Is(err, account.ErrUnknown) {
			t.Errorf("by id: %v", err)
		}
		if _, err := b.ByHandle(ctx, tx, account.Handle{1}); !errors.Is(err, account.ErrUnknown) {
			t.Errorf("by handle: %v", err)
		}
		for _, text := range []string{"", "nobody@example.com", "no address"} {
			if _, err := b.ByEmail(ctx, tx, text); !errors.Is(err, account.ErrUnknown) {
				t.Errorf("by e-mail %q: %v", text, err)
			}
		}
		if found, err := b.ByHandles(ctx, tx, nil); len(found) != 0 || err != nil {
			t.Errorf("by no handles: %v, %v", found, err)
		}
		return nil
	})
}

func TestOneAddressOneAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	_, err := b.SignUp(t.Context(), account.NewAccount{Email: "ALICE@example.com", Password: password, Origin: account.Origin{Source: home}})
	if !errors.Is(err, account.ErrEmailTaken) {
		t.Error(err)
	}

	var group sync.WaitGroup
	var made, taken atomic.Int64
	for i := range 8 {
		group.Go(func() {
			_, err := b.SignUp(t.Context(), account.NewAccount{Email: "bob@example.com", Password: password, Origin: account.Origin{Source: network(i)}})
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, account.ErrEmailTaken):
				taken.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if made.Load() != 1 || taken.Load() != 7 {
		t.Errorf("%d made, %d taken", made.Load(), taken.Load())
	}
	if n := countRows(t, b.DB, "SELECT COUNT(*) FROM account"); n != 2 {
		t.Errorf("%d accounts", n)
	}
}

// Asking which addresses have accounts is throttled like guessing passwords.
func TestAskingForAddressesIsThrottled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	ask := func() error {
		_, err := b.SignUp(t.Context(), account.NewAccount{Email: email, Password: password, Origin: account.Origin{Source: home}})
		return err
	}
	for range 50 {
		if err := ask(); !errors.Is(err, account.ErrEmailTaken) {
			t.Fatal(err)
		}
	}
	refusal(t, ask())
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.Repeat("a", 64) + "@" + strings.Repeat(strings.Repeat("b", 60)+".", 3) + "example"
	for _, good := range []string{
		"a@b.example", "a.b+c@sub.example.com", "o'neil@example.com", "用户@例え.jp", "a@b.example.", long[1:],
	} {
		if _, err := b.SignUp(t.Context(), account.NewAccount{Email: good, Password: password}); err != nil && !errors.Is(err, account.ErrEmailTaken) {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a", "@", "a@", "@b.example", "a@b", "a b@c.example", "a@b c.example", "a@b..example", "a@b.example..", ".a@b.example", "a.@b.example",
		"a..b@c.example", `"a b"@c.example`, "a@[192.0.2.1]", "a@192.0.2.1", "a@b@c.example", "a<b@c.example", "a,b@c.example",
		"a\x00@b.example", "a\r\nBcc: x@b.example", "a\u200b@b.example", "a\u202e@b.example", "a\xff@b.example",
		long + "x", strings.Repeat("a", 65) + "@b.example", strings.Repeat("a", 2000),
	} {
		if _, err := b.SignUp(t.Context(), account.NewAccount{Email: bad, Password: password}); !errors.Is(err, account.ErrEmailInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzSpellings(f *testing.F) {
	for _, seed := range []string{email, "ＡLICE@EXAMPLE.com", "ẞ@straße.example", "\u0345@x.example", "İ@x.example", "a@xn--bcher-kva.example", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, ok := account.NormaliseEmail(s)
		twice, stillOK := account.NormaliseEmail(once)
		if ok && (once != twice || !stillOK) {
			t.Errorf("%q gives %q, and that gives %q", s, once, twice)
		}
		if upper, upperOK := account.NormaliseEmail(strings.ToUpper(once)); ok && upperOK && upper != once && strings.EqualFold(strings.ToUpper(once), once) {
			t.Errorf("%q and its upper case are two", once)
		}
		if len(once) > 254 && ok {
			t.Errorf("%q is too long", once)
		}
	})
}

func TestNewPasswords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	strong := "mVq7 kettle Prague 9 lantern " // 29 characters
	for _, c := range []struct {
		name, password string
		want           account.PasswordFault
	}{
		{"14 characters", "kx8f2mqpzt7wv4", account.PasswordTooShort},
		{"empty", "", account.PasswordTooShort},
		{"15 characters", "kx8f2mqpzt7wv4b", ""},
		{"words", "three green umbrellas sing", ""},
		{"leading and trailing spaces", "   wq8 zt   mk5   ", ""},
		{"Japanese", "三つの緑の傘が静かに歌う夜でした", ""},
		{"emoji", "🦊🐢🎷🌋🧵🪁🦉🍄🧲🪐🎻🥨🚜🛶🏺", ""},
		{"64 characters", strings.Repeat(strong, 3)[:64], ""},
		{"256 characters", strings.Repeat(strong, 9)[:256], ""},
		{"257 characters", strings.Repeat(strong, 9)[:257], account.PasswordTooLong},
		{"256 wide characters", strings.Repeat("傘三緑", 85) + "歌", ""},
		{"control characters", strong + "\x00", account.PasswordUnusable},
		{"broken UTF-8", strong + "\xff", account.PasswordUnusable},
		{"on the list", "correct horse battery staple", account.PasswordCommon},
		{"on the list, in other letters", "Correct-Horse-Battery-Staple", account.PasswordCommon},
		{"on the list, in wide letters", "ｐａｓｓｗｏｒｄｐａｓｓｗｏｒｄ", account.PasswordCommon},
		{"keyboard row", "1qaz2wsx3edc4rfv", account.PasswordCommon},
		{"site words", "sekisho-sekisho-sekisho", account.PasswordPersonal},
		{"a site name of two words", "example market 2026!", account.PasswordPersonal},
		{"own address", "alice@example.com1", account.PasswordPersonal},
		{"own name", "LiddellLiddell99", account.PasswordPersonal},
		{"one character", strings.Repeat("a", 40), account.PasswordGuessable},
		{"sequence", "abcdefghijklmnopq", account.PasswordGuessable},
		{"row of keys", "zxcvbnmasdfghjkl", account.PasswordGuessable},
	} {
		err := b.CheckNewPassword(t.Context(), c.password, email, "Alice Liddell")
		var refused *account.PasswordError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.As(err, &refused) || refused.Fault != c.want):
			t.Errorf("%s: %v, not %s", c.name, err, c.want)
		}
	}
	for _, n := range []int{1025, 4096, 1 << 20} {
		if err := b.CheckNewPassword(t.Context(), strings.Repeat("x", n)); !errors.Is(err, account.ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// A password works in whatever Unicode form the keyboard gives it.
func TestPasswordFormsAreOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.SignUp(t.Context(), account.NewAccount{Email: email, Password: " Ångström naïve ﬁsh ９ "})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.attempt(t.Context(), email, " A\u030angstro\u0308m nai\u0308ve fish 9 ", home, ""); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"Ångström naïve fish 9", " ångström naïve fish 9 "} {
		if err := b.attempt(t.Context(), email, other, home, ""); !errors.Is(err, account.ErrCredentials) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

func TestSignUpRefusesWhatCanBeMended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := account.NewAccount{Email: email, Password: password, Profile: account.Profile{Website: "javascript:alert(1)"}}
	var fault *account.ProfileError
	if _, err := b.SignUp(t.Context(), n); !errors.As(err, &fault) || fault.Claim != "website" {
		t.Error(err)
	}
	n = account.NewAccount{Email: email, Password: "too short"}
	var refused *account.PasswordError
	if _, err := b.SignUp(t.Context(), n); !errors.As(err, &refused) {
		t.Error(err)
	}
	if n := countRows(t, b.DB, "SELECT COUNT(*) FROM account"); n != 0 {
		t.Errorf("%d accounts were made", n)
	}
}
