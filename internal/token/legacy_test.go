package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

const oldSSO = "https://old.test"

// legacy is a system of before, whose tokens pay may be called with.
type legacy struct {
	*bundle
	key    *ecdsa.PrivateKey
	person *account.Account
}

func newLegacy(t *testing.T) *legacy {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := &legacy{bundle: setup(t), key: key}
	jwk, err := jose.PublicJWK(key.Public(), "old", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.MarshalSet([]jose.JWK{jwk})
	if err != nil {
		t.Fatal(err)
	}
	l.regroup("calls:\n", `legacy_tokens:
  old-sso:
    issuer: `+oldSSO+`
    audience: old-pay
    from: market-app.ios
    to: pay
    scopes: { pay: [charge], all: [charge, refund] }
    until: 2027-03-31
    jwks: `+string(set)+`
calls:
`)
	people := []account.Imported{{Email: "old@example.test", Identities: []account.ImportedIdentity{{Issuer: oldSSO, Subject: "4711"}}}}
	if _, err := l.people.Import(t.Context(), people, account.Origin{}); err != nil {
		t.Fatal(err)
	}
	err = l.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		l.person, err = l.people.ByEmail(t.Context(), tx, "old@example.test")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// token signs a token of the system of before; changes are claims in pairs, and nil takes
// one away.
func (l *legacy) token(typ string, changes ...any) string {
	l.t.Helper()
	claims := map[string]any{
		"iss": oldSSO, "sub": "4711", "aud": []string{"old-market", "old-pay"}, "exp": l.clock.Now().Add(time.Hour).Unix(),
		"iat": l.clock.Now().Unix(), "jti": "j1", "scope": "pay openid",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if claims[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
			delete(claims, changes[i].(string))
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		l.t.Fatal(err)
	}
	signer, err := jose.NewSigner(l.key, jose.ES256, "old", typ)
	if err != nil {
		l.t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

func exchangeLegacy(subject, resource string, more ...string) []string {
	return append([]string{
		"grant_type", string(oauth.GrantTokenExchange), "subject_token", subject,
		"subject_token_type", string(oauth.TokenTypeJWT), "resource", resource,
	}, more...)
}

// TestLegacyToken: the token of before becomes one of this server, of the same person, in
// the asker's terms, and of no more than the client could do here in whose place it stands.
func TestLegacyToken(t *testing.T) {
	t.Parallel()
	l := newLegacy(t)
	tokens := l.tokens(basic("pay.backend"), exchangeLegacy(l.token("JWT"), market)...)
	claims := l.claims(tokens.AccessToken)
	var subject string
	if sector := l.registry.Current(); sector != nil {
		pay, _ := sector.Subsystem("pay")
		subject = l.pairwise.Subject(pay.Sector, l.person.Ref)
	}
	if claims.Subject != subject || claims.ClientID != "pay.backend" || claims.Scope.String() != "items.read items.write" || tokens.ExpiresIn != 300 {
		t.Errorf("answer %+v, claims %+v; sub should be %s", tokens, claims, subject)
	}
	if got := claims.Actor.Chain(); !slices.Equal(got, []string{"pay.backend", "market-app.ios"}) {
		t.Errorf("chain %v", got)
	}
	if claims.AuthTime != 0 || claims.ACR != "" || claims.AMR != nil || claims.SessionID != "" {
		t.Errorf("it tells of a sign-in that nobody here has seen: %+v", claims)
	}
	all := l.tokens(basic("pay.backend"), exchangeLegacy(l.token("at+jwt", "scope", nil, "scp", []string{"all"}), market)...)
	if got := l.claims(all.AccessToken).Scope.String(); got != "gifts.send items.read items.write" {
		t.Errorf("scope by a list: %q", got)
	}
	short := l.tokens(basic("pay.backend"), exchangeLegacy(l.token("", "exp", l.clock.Now().Add(90*time.Second).Unix()), market)...)
	if short.ExpiresIn != 90 {
		t.Errorf("it lives for %d s, and the token of before for 90", short.ExpiresIn)
	}
	id := l.tokens(basic("pay.backend"), "grant_type", string(oauth.GrantTokenExchange), "subject_token", l.token("JWT"),
		"subject_token_type", string(oauth.TokenTypeJWT), "requested_token_type", string(oauth.TokenTypeID))
	if id.IssuedTokenType != oauth.TokenTypeID {
		t.Errorf("an ID token: %+v", id)
	}
	onward := l.tokens(basic("market.spare"), exchange(tokens.AccessToken, shop)...)
	if got := len(l.introspect(basic("shop.backend"), onward.AccessToken).Actor.Chain()); got != 3 {
		t.Errorf("the chain goes on with %d clients", got)
	}
	if err := l.audit.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var records []audit.Record
	err := l.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		records, err = audit.Find(t.Context(), tx, audit.Query{Event: audit.ExchangeIssued, Limit: 10})
		return err
	})
	of := 0
	for _, record := range records {
		if record.Detail["subject_jti"] == "old-sso:j1" {
			of++
		}
	}
	if err != nil || of != 4 {
		t.Errorf("%d records tell of the token of before, %v: %v", of, err, records)
	}
}

func TestLegacyTokensRefused(t *testing.T) {
	t.Parallel()
	l := newLegacy(t)
	now := l.clock.Now()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := l.token("JWT")
	segment := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	forged := (&legacy{bundle: l.bundle, key: other}).token("JWT")
	for name, test := range map[string]struct {
		token, client, resource string
		code                    oauth.Code
		says                    string
	}{
		"another issuer":      {l.token("JWT", "iss", "https://other.test"), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"another audience":    {l.token("JWT", "aud", "old-market"), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"no audience":         {l.token("JWT", "aud", nil), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"another service":     {good, "shop.backend", market, oauth.InvalidRequest, "declared issuer"},
		"expired":             {l.token("JWT", "exp", now.Unix()), "pay.backend", market, oauth.InvalidRequest, "expired"},
		"for ever":            {l.token("JWT", "exp", nil), "pay.backend", market, oauth.InvalidRequest, "expired"},
		"an endless exp":      {l.token("JWT", "exp", 1e300), "pay.backend", market, oauth.InvalidRequest, "expired"},
		"not yet":             {l.token("JWT", "nbf", now.Add(2*time.Minute).Unix()), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"made tomorrow":       {l.token("JWT", "iat", now.Add(24*time.Hour).Unix()), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"a logout token":      {l.token("logout+jwt"), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"bound to a key":      {l.token("JWT", "cnf", map[string]string{"jkt": "x"}), "pay.backend", market, oauth.InvalidRequest, "bound to a key"},
		"of nobody":           {l.token("JWT", "sub", nil), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"of a stranger":       {l.token("JWT", "sub", "4712"), "pay.backend", market, oauth.InvalidRequest, "nobody here"},
		"another key":         {forged, "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"no signature":        {segment(`{"alg":"none"}`) + "." + segment(`{"iss":"https://old.test","sub":"4711","aud":"old-pay","exp":9999999999,"scope":"all"}`) + ".", "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"one of ours":         {l.charged("charge"), "pay.backend", market, oauth.InvalidRequest, "declared issuer"},
		"no scope":            {l.token("JWT", "scope", "openid unknown"), "pay.backend", market, "", ""},
		"a resource too far":  {good, "pay.backend", archive, oauth.InvalidTarget, "No edge"},
		"a scope it has not":  {good, "pay.backend", market + "\x00gifts.send", oauth.InvalidScope, "refund"},
		"a client of nothing": {good, "batch.nightly", market, oauth.InvalidRequest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			resource, scope := test.resource, ""
			if at := slices.Index([]byte(resource), 0); at > 0 {
				resource, scope = resource[:at], resource[at+1:]
			}
			form := exchangeLegacy(test.token, resource)
			if scope != "" {
				form = append(form, "scope", scope)
			}
			a := l.post(token.PathToken, basic(test.client), form...)
			switch {
			case name == "no scope": // what needs no condition may be had, as with any token
				if a.status != http.StatusOK || l.claims(l.tokens(basic(test.client), form...).AccessToken).Scope.String() != "items.read" {
					t.Errorf("%d %s", a.status, a.body)
				}
			case test.client == "batch.nightly":
				if a.status == http.StatusOK {
					t.Errorf("%s", a.body)
				}
			default:
				l.wantRefusal(a, http.StatusBadRequest, test.code, test.says)
			}
		})
	}
	err = l.db.Update(t.Context(), func(tx *db.Tx) error { return l.people.Disable(t.Context(), tx, l.person.ID, account.Origin{}) })
	if err != nil {
		t.Fatal(err)
	}
	l.wantRefusal(l.post(token.PathToken, basic("pay.backend"), exchangeLegacy(good, market)...), 400, oauth.InvalidRequest, "nobody here")
}

// TestLegacyTokensEnd holds that they are taken to the last day that the group file names.
func TestLegacyTokensEnd(t *testing.T) {
	t.Parallel()
	l := newLegacy(t)
	l.clock.Set(time.Date(2027, 3, 31, 23, 59, 59, 0, time.UTC))
	l.tokens(basic("pay.backend"), exchangeLegacy(l.token("JWT"), market)...)
	l.clock.Advance(time.Second)
	l.wantRefusal(l.post(token.PathToken, basic("pay.backend"), exchangeLegacy(l.token("JWT"), market)...), 400, oauth.InvalidRequest, "not taken any more")
}
