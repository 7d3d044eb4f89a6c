package token_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// The person is told by one answer, whoever it is not: unknown, foreign, disabled,
// deleted, malformed, or unknown to every receiver.
func TestEventAboutNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, foreign := b.subject("market"), b.subject("crypto")
	crypto, agency := detail("crypto", sold, "1"), detail("agency", sold, "1")
	var bodies []string
	nobody := func(name, subject string, details ...oauth.EventDetail) {
		t.Helper()
		a := b.post(token.PathToken, basic("market.spare"), asking(subject, details...)...)
		if a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		bodies = append(bodies, a.body)
	}
	nobody("garbage", "garbage", crypto)
	nobody("a sector of another, which receives", foreign, crypto)
	nobody("upper case", strings.ToUpper(good), crypto)
	nobody("one character more", good+"a", crypto)
	nobody("a client", "market.spare", crypto)
	nobody("an access token", b.charged("charge"), crypto)
	nobody("a third party without a grant", good, agency)
	nobody("require_grant without a grant", good, detail("crypto", flagged, "1"))
	b.tokens(basic("market.spare"), asking(good, crypto)...)
	b.disable()
	nobody("disabled", good, crypto, agency)
	b.update(func(tx *db.Tx) error { return b.people.Delete(t.Context(), tx, b.person.ID, account.Origin{}) })
	nobody("deleted", good, crypto)
	b.wantRefusal(answer{400, http.Header{"Cache-Control": {"no-store"}}, bodies[0]}, 400, oauth.InvalidRequest, "names nobody") // the SDK knows these two words
	if slices.Sort(bodies); len(slices.Compact(bodies)) != 1 {
		t.Errorf("the answers differ: %q", bodies)
	}
}

func TestEventCredentialRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	me, asker := b.subject("market"), basic("market.spare")
	good := detail("crypto", sold, "1")
	text := strings.TrimSuffix(strings.TrimPrefix(asking(me, good)[9], "["), "]")
	access := b.charged("charge")
	with := func(more ...string) []string { return append(asking(me, good), more...) }
	without := func(name string, more ...string) []string {
		pairs := asking(me, good)
		i := slices.Index(pairs, name)
		return append(slices.Delete(pairs, i, i+2), more...)
	}
	for _, c := range []struct {
		name   string
		who    as
		pairs  []string
		status int
		code   oauth.Code
		words  string
	}{
		{"receiver that is not declared", asker, asking(me, detail("pay", sold, "1")), 400, oauth.InvalidTarget, "does not have market publish the type " + sold + " to the receiver pay"},
		{"no such receiver", asker, asking(me, detail("nowhere", sold, "1")), 400, oauth.InvalidTarget, "to the receiver nowhere"},
		{"a client as receiver", asker, asking(me, detail("crypto.backend", sold, "1")), 400, oauth.InvalidTarget, "crypto.backend"},
		{"receiver of another type of mine", asker, asking(me, detail("shop", flagged, "1")), 400, oauth.InvalidTarget, "to the receiver shop"},
		{"type of another publisher", asker, asking(me, detail("crypto", booked, "1")), 400, oauth.InvalidTarget, "market publish the type " + booked},
		{"type of another publisher, to me", asker, asking(me, detail("market", booked, "1")), 400, oauth.InvalidTarget, booked},
		{"type of the platform", asker, asking(me, detail("crypto", oauth.EventSessionRevoked, "1")), 400, oauth.InvalidTarget, "market publish"},
		{"no such type", asker, asking(me, detail("crypto", market+"/events/item.made", "1")), 400, oauth.InvalidTarget, "item.made"},
		{"the name of a type", asker, asking(me, detail("crypto", "item.sold", "1")), 400, oauth.InvalidTarget, "item.sold"},
		{"one of two is not declared", asker, asking(me, good, detail("pay", sold, "1")), 400, oauth.InvalidTarget, "to the receiver pay"},
		{"names that cannot be told", asker, asking(me, detail("a\"b\\c", "あ", "1")), 400, oauth.InvalidTarget, "that was named"},
		{"somebody who publishes nothing", basic("pay.backend"), asking(b.subject("pay"), good), 400, oauth.InvalidTarget, "does not have pay publish"},
		{"a mere receiver, of its own", basic("shop.backend"), asking(b.subject("shop"), detail("shop", sold, "1")), 400, oauth.InvalidTarget, "does not have shop publish"},

		{"X11 a public client", public("market-app.web"), asking(me, good), 400, oauth.UnauthorizedClient, "market-app is an app"},
		{"X11 a backend", secretPost("crypto.backend"), asking(me, good), 400, oauth.UnauthorizedClient, "crypto is a backend"},
		{"X11 a third party", basic("agency.web"), asking(me, good), 400, oauth.UnauthorizedClient, "agency is a third_party"},
		{"without authentication", public("market.spare"), asking(me, good), 401, oauth.InvalidClient, "authentication failed"},

		{"no subject_token", asker, without("subject_token"), 400, oauth.InvalidRequest, "subject_token is missing"},
		{"no details", asker, without("authorization_details"), 400, oauth.InvalidRequest, "authorization_details is missing"},
		{"details twice", asker, with("authorization_details", "[]"), 400, oauth.InvalidRequest, "more than once"},
		{"no requested_token_type", asker, without("requested_token_type"), 400, oauth.InvalidRequest, "requested_token_type"},
		{"an access token asked for", asker, without("requested_token_type", "requested_token_type", string(oauth.TokenTypeAccess)), 400, oauth.InvalidRequest, "requested_token_type"},
		{"a refresh token asked for", asker, without("requested_token_type", "requested_token_type", string(oauth.TokenTypeRefresh)), 400, oauth.InvalidRequest, "requested_token_type"},
		{"scope", asker, with("scope", "openid"), 400, oauth.InvalidScope, "leave scope out"},
		{"resource", asker, with("resource", market), 400, oauth.InvalidTarget, "leave resource"},
		{"audience", asker, with("audience", "crypto"), 400, oauth.InvalidTarget, "leave resource and audience out"},
		{"actor_token", asker, with("actor_token", access, "actor_token_type", string(oauth.TokenTypeAccess)), 400, oauth.InvalidRequest, "actor_token"},
		{"actor_token_type alone", asker, with("actor_token_type", string(oauth.TokenTypeAccess)), 400, oauth.InvalidRequest, "actor_token"},

		{"details of an exchange for access", asker, append(exchange(access, shop), "authorization_details", "["+text+"]"), 400, oauth.InvalidRequest, "not addressed to"},
		{"details of an exchange for an ID token", asker, without("subject_token_type", "subject_token_type", string(oauth.TokenTypeAccess)), 400, oauth.InvalidRequest, "not valid"},
		{"no subject_token_type", asker, without("subject_token_type"), 400, oauth.InvalidRequest, "both needed"},
		{"subject_token_type of an ID token", asker, without("subject_token_type", "subject_token_type", string(oauth.TokenTypeID)), 400, oauth.InvalidRequest, "URN of access_token"},
		{"a type like it", asker, without("subject_token_type", "subject_token_type", string(oauth.TokenTypeSubject)+" "), 400, oauth.InvalidRequest, "URN of access_token"},
		{"details of client credentials", asker, clientCredentials("authorization_details", "["+text+"]"), 400, oauth.InvalidRequest, "alone"},
		{"details and type of client credentials", asker, clientCredentials("subject_token_type", string(oauth.TokenTypeSubject), "authorization_details", "["+text+"]"), 400, oauth.InvalidRequest, "alone"},
		{"details of a refresh", public("market-app.web"), []string{"grant_type", "refresh_token", "refresh_token", "x", "authorization_details", "[" + text + "]"}, 400, oauth.InvalidGrant, "not known here"},
		{"details of a code", public("market-app.web"), redemption("x", webRedirect, "authorization_details", "["+text+"]"), 400, oauth.InvalidGrant, "not known here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.wantRefusal(b.post(token.PathToken, c.who, c.pairs...), c.status, c.code, c.words)
		})
	}
	for _, record := range b.records(audit.EventCredentialRefused) {
		if text, err := json.Marshal(record); err != nil || record.Reason == "" || record.Client == "" || strings.Contains(string(text), me) {
			t.Errorf("audit has %s", text)
		}
	}
	if len(b.records(audit.EventCredentialRefused)) < 20 || len(b.records(audit.EventCredentialIssued)) != 0 {
		t.Error("refusals are missing in the audit log")
	}
}

// K12: the credential of an event opens nothing, and names nobody.
func TestEventCredentialIsNoOtherToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	credential := b.tokens(basic("market.spare"), asking(b.subject("market"), detail("shop", sold, "1"))...).AccessToken
	if _, err := b.mint.Check(t.Context(), credential); err == nil {
		t.Error("it is an access token")
	}
	if _, err := b.mint.CheckIDTokenHint(t.Context(), credential); err == nil {
		t.Error("it is an id_token_hint")
	}
	if b.introspect(basic("shop.backend"), credential).Active || b.introspect(basic("market.spare"), credential).Active {
		t.Error("introspection finds it active")
	}
	b.wantRefusal(b.bearer(http.MethodGet, credential), http.StatusUnauthorized, oauth.InvalidToken, "not valid")
	b.wantRefusal(b.post(token.PathToken, basic("shop.backend"), exchange(credential, market)...), 400, oauth.InvalidRequest, "not valid")
	for name, typ := range map[string]oauth.TokenType{"an ID token": oauth.TokenTypeID, "a JWT": oauth.TokenTypeJWT} {
		a := b.post(token.PathToken, basic("shop.backend"), "grant_type", string(oauth.GrantTokenExchange),
			"subject_token", credential, "subject_token_type", string(typ), "resource", market)
		if a.status != http.StatusBadRequest {
			t.Errorf("exchanged as %s: %s", name, a.body)
		}
	}
	a := b.post(token.PathToken, basic("market.spare"), asking(credential, detail("crypto", sold, "1"))...)
	b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidRequest, "names nobody")
	// A signed-in person's ID token is not one of events either.
	signIn := b.appTokens(marketScopes).IDToken
	for _, other := range []string{signIn, b.charged("charge")} {
		if _, err := b.keys.Verify(keyring.Event, other); err == nil {
			t.Error("another token passes for the credential of an event")
		}
	}
}
