package keyring_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const day = 24 * time.Hour

// bench is one database and its key-encryption key, with a clock that tests
// set.
type bench struct {
	path string
	keks []secret.KEK
	now  *time.Time
}

func setup(t *testing.T) bench {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return bench{path: dbtest.DSN(t), keks: []secret.KEK{freshKEK()}, now: &now}
}

// process opens the keyring as a process of its own would.
func (b bench) process(t *testing.T) (*keyring.Keyring, *db.DB) {
	t.Helper()
	d, err := db.Open(t.Context(), b.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	k, err := keyring.Open(t.Context(), keyring.Config{DB: d, KEKs: b.keks, Now: func() time.Time { return *b.now }})
	if err != nil {
		t.Fatal(err)
	}
	return k, d
}

func freshKEK() secret.KEK { return secret.LocalKEK([32]byte(secret.Bytes(32))) }

func (b bench) open(t *testing.T) *keyring.Keyring {
	t.Helper()
	k, _ := b.process(t)
	return k
}

// purposes are all there are; those of keyPurposes have keys of their own.
func purposes() []keyring.Purpose {
	return append(keyPurposes(), keyring.Logout, keyring.LogoutRS256)
}

func keyPurposes() []keyring.Purpose {
	return []keyring.Purpose{keyring.Access, keyring.ID, keyring.IDRS256, keyring.Event, keyring.SET, keyring.SETRS256}
}

const claims = `{"iss":"https://id.example"}`

func sign(t *testing.T, k *keyring.Keyring, p keyring.Purpose) string {
	t.Helper()
	token, err := k.Sign(p, []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verifies(t *testing.T, k *keyring.Keyring, p keyring.Purpose, token string) bool {
	t.Helper()
	got, err := k.Verify(p, token)
	if err == nil && string(got) != claims {
		t.Errorf("claims %q", got)
	}
	return err == nil
}

func published(t *testing.T, k *keyring.Keyring) gojose.JSONWebKeySet {
	t.Helper()
	body, _ := k.JWKS()
	var set gojose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// kid gives the key that signed a token, and whether it is published.
func kid(t *testing.T, k *keyring.Keyring, token string) (id string, isPublished bool) {
	t.Helper()
	parsed, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.ES256, gojose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	id = parsed.Signatures[0].Protected.KeyID
	set := published(t, k)
	keys := set.Key(id)
	if len(keys) != 1 {
		return id, false
	}
	_, err = parsed.Verify(keys[0].Key)
	return id, err == nil
}

func states(t *testing.T, k *keyring.Keyring, p keyring.Purpose) string {
	t.Helper()
	keys, err := k.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, key := range keys {
		if key.Purpose == p {
			all = append(all, string(key.State))
		}
	}
	return strings.Join(all, " ")
}

func TestFirstStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k := b.open(t)
	for _, p := range keyPurposes() {
		if got := states(t, k, p); got != "current" {
			t.Errorf("%s: keys %q", p, got)
		}
	}
	for _, p := range purposes() {
		token := sign(t, k, p)
		if !verifies(t, k, p, token) {
			t.Errorf("%s: own token does not verify", p)
		}
		if id, ok := kid(t, k, token); !ok {
			t.Errorf("%s: key %s is not published", p, id)
		}
	}
	// Later starts, and other processes, have the same keys.
	again := b.open(t)
	for _, p := range purposes() {
		if !verifies(t, again, p, sign(t, k, p)) || !verifies(t, k, p, sign(t, again, p)) {
			t.Errorf("%s: two processes do not know each other's tokens", p)
		}
	}
	if !bytes.Equal(k.Secret("csrf"), again.Secret("csrf")) {
		t.Error("a data key changed")
	}
	if bytes.Equal(k.Secret("csrf"), k.Secret("device")) || len(k.Secret("csrf")) != 32 {
		t.Error("two data keys are equal")
	}
}

// K11, K12: a key of one purpose verifies nothing of another.
func TestPurposesAreApart(t *testing.T) {
	t.Parallel()
	k := setup(t).open(t)
	for _, signer := range purposes() {
		token := sign(t, k, signer)
		for _, p := range purposes() {
			if got := verifies(t, k, p, token); got != (p == signer) {
				t.Errorf("a token of %s at %s: %v", signer, p, got)
			}
		}
	}
	if _, err := k.Sign("other", []byte(claims)); err == nil {
		t.Error("an unknown purpose signs")
	}
	for _, token := range []string{"", ".", "a.b.c", "eyJhbGciOiJub25lIn0.e30."} {
		if _, err := k.Verify(keyring.Access, token); !errors.Is(err, keyring.ErrForeign) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// The header that each purpose writes. Logout tokens are signed with the keys of
// ID tokens (OIDC Back-Channel Logout §2.4), all others with their own.
func TestHeaders(t *testing.T) {
	t.Parallel()
	k := setup(t).open(t)
	signedBy := map[string]keyring.Purpose{}
	for _, c := range []struct {
		purpose, keys keyring.Purpose
		alg, typ      string
	}{
		{keyring.Access, keyring.Access, "ES256", "at+jwt"},
		{keyring.ID, keyring.ID, "ES256", "JWT"},
		{keyring.IDRS256, keyring.IDRS256, "RS256", "JWT"},
		{keyring.Event, keyring.Event, "ES256", "event+jwt"},
		{keyring.SET, keyring.SET, "ES256", "secevent+jwt"},
		{keyring.SETRS256, keyring.SETRS256, "RS256", "secevent+jwt"},
		{keyring.Logout, keyring.ID, "ES256", "logout+jwt"},
		{keyring.LogoutRS256, keyring.IDRS256, "RS256", "logout+jwt"},
	} {
		parsed, err := gojose.ParseSignedCompact(sign(t, k, c.purpose), []gojose.SignatureAlgorithm{gojose.ES256, gojose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		header := parsed.Signatures[0].Protected
		if header.Algorithm != c.alg || header.ExtraHeaders[gojose.HeaderType] != c.typ {
			t.Errorf("%s: header %+v", c.purpose, header)
		}
		if owner, seen := signedBy[header.KeyID]; (seen && owner != c.keys) || (!seen && c.keys != c.purpose) {
			t.Errorf("%s: signed with a key of %q", c.purpose, owner)
		}
		signedBy[header.KeyID] = c.keys
	}
}

// A database from before a purpose was there gets its keys at the next start, and
// keeps those it has.
func TestNewPurposesOfAnOldDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k, d := b.process(t)
	before := sign(t, k, keyring.IDRS256)
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `DELETE FROM signing_key WHERE purpose IN ('event', 'set', 'set-rs256')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	upgraded := b.open(t)
	if !verifies(t, upgraded, keyring.IDRS256, before) {
		t.Error("a token from before the upgrade does not verify")
	}
	for _, p := range purposes() {
		token := sign(t, upgraded, p)
		if _, isPublished := kid(t, upgraded, token); !isPublished || !verifies(t, upgraded, p, token) {
			t.Errorf("%s: does not verify after the upgrade", p)
		}
	}
}

// K11: nothing private is ever published.
func TestJWKSHasPublicMembersOnly(t *testing.T) {
	t.Parallel()
	k := setup(t).open(t)
	body, etag := k.JWKS()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, key := range set.Keys {
		for name := range key {
			if !strings.Contains(" kty use alg kid crv x y n e ", " "+name+" ") {
				t.Errorf("member %s", name)
			}
		}
		ids[key["kid"]] = true
	}
	if len(ids) != len(keyPurposes()) || len(set.Keys) != len(ids) {
		t.Errorf("%d keys", len(ids))
	}
	if len(etag) < 10 || etag[0] != '"' {
		t.Errorf("etag %s", etag)
	}
}

func TestWrongKeyEncryptionKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, d := b.process(t)
	for name, c := range map[string]struct {
		keks []secret.KEK
		says string
	}{
		"another":       {[]secret.KEK{freshKEK()}, "start with the key-encryption key that was used"},
		"several wrong": {[]secret.KEK{freshKEK(), freshKEK()}, "start with the key-encryption key that was used"},
		"none":          {nil, "there is no key-encryption key"},
	} {
		_, err := keyring.Open(t.Context(), keyring.Config{DB: d, KEKs: c.keks, Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "none" && !errors.Is(err, keyring.ErrKEK) {
			t.Errorf("another: %v", err)
		}
	}
}

// A thief who can write the database cannot make the ID token key sign access
// tokens.
func TestSealedKeysStayInTheirRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, d := b.process(t)
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE signing_key SET sealed =
			(SELECT other.sealed FROM signing_key AS other WHERE other.purpose = 'id') WHERE purpose = 'access'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(t.Context(), keyring.Config{DB: d, KEKs: b.keks, Now: time.Now}); !errors.Is(err, keyring.ErrKEK) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkOpen(b *testing.B) {
	d, err := db.Open(b.Context(), dbtest.DSN(b))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	config := keyring.Config{DB: d, KEKs: []secret.KEK{freshKEK()}, Now: time.Now}
	if _, err := keyring.Open(b.Context(), config); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := keyring.Open(b.Context(), config); err != nil {
			b.Fatal(err)
		}
	}
}
