package mint_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	issuer = "https://id.test"
	market = "https://api.market.test"
)

// bundle is a mint on real rooms.
type bundle struct {
	*mint.Mint
	t      testing.TB
	now    time.Time
	db     *db.DB
	grants *grant.Grants
	people *account.People
	person *account.Account
}

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{t: t, now: time.Unix(1_800_000_042, 0)}
	ctx := t.Context()
	now := func() time.Time { return b.now }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	b.db, err = db.Open(ctx, dbtest.DSN(t))
	must(err)
	t.Cleanup(func() { _ = b.db.Close() })
	keys, err := keyring.Open(ctx, keyring.Config{DB: b.db, KEKs: []secret.KEK{secret.LocalKEK([32]byte{})}, Now: now})
	must(err)
	reg, err := registry.Open(ctx, registry.Config{DB: b.db, Now: now})
	must(err)
	data, err := os.ReadFile("testdata/group.yaml")
	must(err)
	group, err := registry.Parse("group.yaml", data, func(string) ([]byte, error) { return []byte(strings.Repeat("secret", 8)), nil })
	must(err)
	_, err = reg.Apply(ctx, group, "test")
	must(err)
	b.people, err = account.Open(ctx, account.Config{
		DB: b.db, Hasher: secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1}), DeviceKey: keys.Secret("device"), Now: now,
	})
	must(err)
	b.grants, err = grant.Open(ctx, grant.Config{DB: b.db, People: b.people, Now: now})
	must(err)
	ids, err := pairwise.Open(ctx, pairwise.Config{
		DB: b.db, Realm: reg.Current().Realm, Secrets: [][]byte{make([]byte, 32)}, People: b.people, Now: now,
	})
	must(err)
	b.Mint, err = mint.New(mint.Config{Issuer: issuer, Registry: reg, Keys: keys, Pairwise: ids, Grants: b.grants, Now: now})
	must(err)
	b.person, err = b.people.SignUp(ctx, account.NewAccount{Email: "aiko@example.test", Password: "marble lantern orbit teacup"})
	must(err)
	return b
}

func (b *bundle) client(id string) *registry.Client {
	b.t.Helper()
	client, ok := b.Registry.Current().Client(id)
	if !ok {
		b.t.Fatalf("no client %s", id)
	}
	return client
}

// userToken is a token of the person with its root and grant.
func (b *bundle) userToken(change func(*mint.UserToken)) mint.Issued {
	b.t.Helper()
	spec := mint.UserToken{
		Client: b.client("app.web"), Who: b.person.Ref, Audience: oauth.Audience{market}, Scopes: oauth.Scopes{"items.read"},
		SignIn: mint.SignIn{Session: &[16]byte{1, 2, 3}, At: b.now, ACR: "aal1", AMR: []string{"pwd"}}, Grant: 4711,
	}
	if change != nil {
		change(&spec)
	}
	issued, err := b.UserToken(spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return issued
}

func TestUserTokenThereAndBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, opaque := range map[string]bool{"JWT": false, "opaque": true} {
		issued := b.userToken(func(u *mint.UserToken) { u.Opaque = opaque })
		if strings.HasPrefix(issued.Token, "sek_at_") != opaque {
			t.Fatalf("%s: token %.10s…", name, issued.Token)
		}
		checked, err := b.Check(t.Context(), issued.Token)
		user := checked.User
		if err != nil || user == nil {
			t.Fatalf("%s: %+v, %v", name, checked, err)
		}
		if user.Who != b.person.Ref || user.Grant != 4711 || user.Root != issued.Root || user.Opaque != opaque ||
			user.Session == nil || *user.Session != [16]byte{1, 2, 3} || user.Client.ID != "app.web" || user.Claims.ID != issued.ID {
			t.Errorf("%s: %+v", name, user)
		}
		if checked.Service != nil {
			t.Errorf("%s: a service token too: %+v", name, checked.Service)
		}
	}
}

func TestServiceTokenThereAndBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	issued, err := b.ServiceToken(mint.ServiceToken{Client: b.client("market.backend"), Audience: oauth.Audience{issuer}, Scopes: oauth.Scopes{oauth.ScopeConvert}})
	if err != nil {
		t.Fatal(err)
	}
	checked, err := b.Check(t.Context(), issued.Token)
	service := checked.Service
	if err != nil || service == nil {
		t.Fatalf("%+v, %v", checked, err)
	}
	if service.Client.ID != "market.backend" || service.Claims.Subject != "market.backend" || issued.ExpiresIn() != 600 {
		t.Errorf("%+v", service)
	}
	if checked.User != nil {
		t.Errorf("a person's token too: %+v", checked.User)
	}
}

func TestLifeIsNeverLonger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		limit time.Time
		want  int64
	}{
		"no limit":      {time.Time{}, 300},
		"a later limit": {b.now.Add(time.Hour), 300},
		"an earlier":    {b.now.Add(42 * time.Second), 42},
	} {
		if got := b.userToken(func(u *mint.UserToken) { u.NotAfter = c.limit }).ExpiresIn(); got != c.want {
			t.Errorf("%s: %d seconds, want %d", name, got, c.want)
		}
	}
	issued := b.userToken(nil)
	b.now = b.now.Add(299 * time.Second)
	if _, err := b.Check(t.Context(), issued.Token); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	b.now = b.now.Add(time.Second)
	if _, err := b.Check(t.Context(), issued.Token); !errors.Is(err, mint.ErrInvalid) {
		t.Errorf("at its end: %v", err)
	}
}

func TestTokensEndWithWhatTheyRestOn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, tx *db.Tx, b *bundle, issued mint.Issued, id int64) error{
		"grant": func(ctx context.Context, tx *db.Tx, b *bundle, _ mint.Issued, id int64) error {
			return b.grants.Revoke(ctx, tx, grant.Revocation{Grant: id})
		},
		"chain": func(ctx context.Context, tx *db.Tx, b *bundle, issued mint.Issued, _ int64) error {
			return b.grants.Revoke(ctx, tx, grant.Revocation{Root: issued.Root})
		},
		"token": func(ctx context.Context, tx *db.Tx, b *bundle, issued mint.Issued, _ int64) error {
			return b.grants.Revoke(ctx, tx, grant.Revocation{Token: issued.ID})
		},
		"person": func(ctx context.Context, tx *db.Tx, b *bundle, _ mint.Issued, _ int64) error {
			return b.people.Disable(ctx, tx, b.person.ID, account.Origin{By: "test"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			id := b.grantID()
			issued := b.userToken(func(u *mint.UserToken) { u.Grant = id })
			if _, err := b.Check(t.Context(), issued.Token); err != nil {
				t.Fatal(err)
			}
			b.update(func(tx *db.Tx) error { return end(t.Context(), tx, b, issued, id) })
			if _, err := b.Check(t.Context(), issued.Token); !errors.Is(err, mint.ErrInvalid) {
				t.Errorf("after its %s ended: %v", name, err)
			}
		})
	}
}

func (b *bundle) update(fn func(*db.Tx) error) {
	b.t.Helper()
	if err := b.db.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// grantID signs the person in and gives the id of the grant that comes of it.
func (b *bundle) grantID() int64 {
	b.t.Helper()
	ctx := b.t.Context()
	const redirectURI, verifier = "https://app.test/callback", "a-verifier-of-forty-three-characters-or-more"
	var code string
	b.update(func(tx *db.Tx) error {
		session, _, err := b.grants.StartSession(ctx, tx, b.person.ID, grant.SignIn{AuthTime: b.now, ACR: "aal1", AMR: []string{"pwd"}})
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(verifier))
		code, err = b.grants.Authorize(ctx, tx, grant.Authorization{
			Session: session, ClientID: "app.web", RedirectURI: redirectURI, Scopes: grant.Scopes{market: {"items.read"}},
			Challenge: base64.RawURLEncoding.EncodeToString(sum[:]),
		})
		return err
	})
	given, _, err := b.grants.Redeem(ctx, grant.Redemption{Code: code, ClientID: "app.web", RedirectURI: redirectURI, Verifier: verifier})
	if err != nil {
		b.t.Fatal(err)
	}
	return given.ID
}

func TestReferences(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := mint.Reference{Grant: 1<<62 + 7, Root: -5}
	first, second := b.Seal(ref), b.Seal(ref)
	if first == second || first[:22] == second[:22] || first[22:] == second[22:] {
		t.Errorf("two jti of one reference: %s %s", first, second)
	}
	if got, ok := b.Open(first); !ok || got != ref {
		t.Errorf("opened %+v", got)
	}
	for name, jti := range map[string]string{
		"empty": "", "short": first[:42], "long": first + "A", "not base64": strings.Repeat("*", 43), "a line": first[:42] + "\n",
		"line breaks": "\r\n\n" + strings.Repeat("A", 40),
	} {
		if _, ok := b.Open(jti); ok {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestNothingInATokenMatchesTwoSectors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.userToken(nil)
	second := b.userToken(func(u *mint.UserToken) {
		u.Client, u.Root = b.client("market.backend"), first.Root
	})
	values := func(token string) map[string]bool {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, name := range []string{"sub", "sid", "jti"} {
			found[claims[name].(string)] = true
		}
		return found
	}
	one, other := values(first.Token), values(second.Token)
	for value := range one {
		if other[value] {
			t.Errorf("both tokens hold %s", value)
		}
	}
}

func TestOpaqueTokensHaveOneText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token := b.SealOpaque([]byte(`{"iss":"x"}`))
	if _, ok := b.OpenOpaque(token); !ok {
		t.Fatal("does not open")
	}
	for name, other := range map[string]string{
		"a line": token[:12] + "\n" + token[12:], "a return": token + "\r", "padded": token + "=", "cut": token[:len(token)-1],
		"changed": token[:20] + "A" + token[21:], "none": "sek_at_",
	} {
		if _, ok := b.OpenOpaque(other); ok && other != token {
			t.Errorf("%s: opens", name)
		}
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for id, alg := range map[string]string{"app.web": "RS256", "app.ios": "ES256"} {
		client := b.client(id)
		issued, err := b.IDToken(mint.IDToken{
			Client: client, Who: b.person.Ref, Nonce: "n-1", AccessToken: "sek_at_x",
			SignIn: mint.SignIn{Session: &[16]byte{9}, At: b.now, Exact: true, ACR: "aal1", AMR: []string{"pwd"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(issued.Token, ".")[0])
		if err != nil || !strings.Contains(string(header), `"alg":"`+alg+`"`) {
			t.Errorf("header %s, want %s", header, alg)
		}
		b.now = b.now.Add(time.Hour) // a hint may have expired
		hint, err := b.CheckIDTokenHint(t.Context(), issued.Token)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte("sek_at_x"))
		if hint.Client != client || hint.Who != b.person.Ref || *hint.Session != [16]byte{9} || hint.Claims.Nonce != "n-1" ||
			hint.Claims.AuthTime != b.now.Add(-time.Hour).Unix() || hint.Claims.AccessTokenHash != base64.RawURLEncoding.EncodeToString(sum[:16]) {
			t.Errorf("hint %+v of %+v", hint, hint.Claims)
		}
		b.now = b.now.Add(-time.Hour)
	}
}

func TestHintRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	access := b.userToken(nil).Token
	issued, err := b.IDToken(mint.IDToken{Client: b.client("app.web"), Who: b.person.Ref})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(issued.Token, ".")
	for name, token := range map[string]string{
		"an access token":   access, // K12
		"garbage":           "garbage",
		"alg none":          base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"another signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"other claims":      parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://id.test"}`)) + "." + parts[2],
	} {
		if _, err := b.CheckIDTokenHint(t.Context(), token); !errors.Is(err, mint.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Check(t.Context(), issued.Token); !errors.Is(err, mint.ErrInvalid) {
		t.Errorf("K12: an ID token as an access token: %v", err)
	}
}
