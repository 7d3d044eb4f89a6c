package token_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	sold    = market + "/events/item.sold"
	lost    = market + "/events/item.lost"
	flagged = market + "/events/item.flagged"
	booked  = ledger + "/events/booked"

	digest         = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" // of no bytes
	agencyRedirect = "https://agency.test/callback"
	cryptoRedirect = "https://crypto.test/callback"
)

// detail asks for one credential.
func detail(receiver, eventType, eventID string) oauth.EventDetail {
	return oauth.EventDetail{Type: "event", Receiver: receiver, EventType: eventType, EventID: eventID, BodySHA256: digest}
}

// asking are the parameters of a request for the credentials of events.
func asking(subject string, details ...oauth.EventDetail) []string {
	text, err := json.Marshal(details)
	if err != nil {
		panic(err)
	}
	return askingText(subject, string(text))
}

func askingText(subject, details string, more ...string) []string {
	return append([]string{
		"grant_type", string(oauth.GrantTokenExchange), "requested_token_type", string(oauth.TokenTypeID),
		"subject_token", subject, "subject_token_type", string(oauth.TokenTypeSubject), "authorization_details", details,
	}, more...)
}

// event checks the signature of a credential and gives its claims.
func (b *bundle) event(credential string) oauth.EventTokenClaims {
	b.t.Helper()
	payload, err := b.keys.Verify(keyring.Event, credential)
	if err != nil {
		b.t.Fatal(err)
	}
	var claims oauth.EventTokenClaims
	if err := json.Unmarshal(payload, &claims); err != nil {
		b.t.Fatal(err)
	}
	return claims
}

// records are the audit records of an event.
func (b *bundle) records(event audit.Event) (found []audit.Record) {
	b.t.Helper()
	if err := b.audit.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	err := b.db.Read(b.t.Context(), func(tx *db.Tx) (err error) {
		found, err = audit.Find(b.t.Context(), tx, audit.Query{Event: event})
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// joins has the person sign in at a relying party.
func (b *bundle) joins(clientID, redirectURI string) {
	b.t.Helper()
	code := b.code(signIn{client: clientID, redirectURI: redirectURI, scopes: grant.Scopes{issuer: {"openid"}}})
	who := basic(clientID)
	if clientID == "crypto.backend" {
		who = secretPost(clientID)
	}
	b.tokens(who, redemption(code, redirectURI)...)
}

func TestEventCredential(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked := detail("crypto", sold, "sale-4711")
	asked.HappenedAt = b.clock.Now().Add(-time.Hour).Unix()
	a := b.post(token.PathToken, basic("market.spare"), asking(b.subject("market"), asked)...)
	tokens := into[oauth.TokenResponse](t, a)
	if a.status != http.StatusOK || tokens.IssuedTokenType != oauth.TokenTypeID || tokens.TokenType != "N_A" || tokens.ExpiresIn != 120 ||
		tokens.RefreshToken != "" || tokens.IDToken != "" || len(tokens.Scope) != 0 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", a.status, a.body)
	}
	given := eventDetails(t, tokens)
	if len(given) != 1 || given[0].IDToken != tokens.AccessToken {
		t.Fatalf("details %s", tokens.AuthorizationDetails)
	}
	answered := given[0]
	if answered.IDToken = ""; answered != asked {
		t.Errorf("asked for %+v, got %+v", asked, answered)
	}
	header := headerOf(t, tokens.AccessToken)
	if header["typ"] != "event+jwt" || header["alg"] != "ES256" {
		t.Errorf("header %v", header)
	}
	now := b.clock.Now().Unix()
	want := oauth.EventTokenClaims{
		Issuer: issuer, Subject: b.subject("crypto"), Audience: oauth.Audience{"crypto"}, AuthorizedParty: "market.spare",
		ExpiresAt: now + 120, IssuedAt: now, ID: b.mint.EventID("market", "crypto", "sale-4711"), HappenedAt: now - 3600,
		Events: map[string]oauth.EventBody{sold: {SHA256: digest}},
	}
	if got := b.event(tokens.AccessToken); !reflect.DeepEqual(got, want) {
		t.Errorf("claims\n%+v, want\n%+v", got, want)
	}
	// The audience is no client's id, so that no relying party takes it for a
	// sign-in.
	if _, ok := b.registry.Current().Client("crypto"); ok {
		t.Error("a client has the name of a subsystem")
	}

	records := b.records(audit.EventCredentialIssued)
	if len(records) != 1 || records[0].Client != "market.spare" || records[0].Outcome != audit.OK || !maps.EqualFunc(records[0].Detail, map[string]any{
		"asked": 1.0, "given": 1.0, "receivers": []any{"crypto"}, "types": []any{"item.sold"},
	}, func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("audit has %+v", records)
	}
	if text, err := json.Marshal(records); err != nil || strings.Contains(string(text), b.subject("market")) || strings.Contains(string(text), b.subject("crypto")) {
		t.Errorf("a subject stands in the audit log: %s", text)
	}
}

// One event for several receivers, in one request: each has the person under its
// own name, and nothing by which two of them could match him but the event.
func TestEventForSeveralReceivers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked := []oauth.EventDetail{
		detail("agency", sold, "sale-1"), detail("crypto", sold, "sale-1"), detail("shop", lost, "sale-1"), detail("crypto", flagged, "flag-1"),
	}
	ask := func() []oauth.EventDetail {
		t.Helper()
		tokens := b.tokens(basic("market.spare"), asking(b.subject("market"), asked...)...)
		details := eventDetails(t, tokens)
		given := slices.IndexFunc(details, func(d oauth.EventDetail) bool { return d.IDToken != "" })
		if given < 0 || tokens.AccessToken != details[given].IDToken || tokens.ExpiresIn != 120 {
			t.Fatalf("answer %+v", tokens)
		}
		for i, answered := range details {
			if answered.IDToken = ""; answered != asked[i] {
				t.Errorf("asked for %+v, got %+v", asked[i], answered)
			}
		}
		return details
	}
	receivers := func(details []oauth.EventDetail) (names []string) {
		t.Helper()
		for _, d := range details {
			if d.IDToken == "" {
				continue
			}
			names = append(names, d.Receiver)
			claims := b.event(d.IDToken)
			if claims.Subject != b.subject(d.Receiver) || !slices.Equal(claims.Audience, oauth.Audience{d.Receiver}) || claims.Events[d.EventType].SHA256 != digest || len(claims.Events) != 1 {
				t.Errorf("%s gets %+v", d.Receiver, claims)
			}
		}
		return names
	}
	first := ask()
	if got := receivers(first); !slices.Equal(got, []string{"crypto", "shop"}) {
		t.Errorf("without a grant at the others: %v", got)
	}
	if b.event(first[1].IDToken).ID == b.event(first[2].IDToken).ID {
		t.Error("two receivers have one jti")
	}

	b.joins("agency.web", agencyRedirect)
	if got := receivers(ask()); !slices.Equal(got, []string{"agency", "crypto", "shop"}) {
		t.Errorf("with a grant at the third party: %v", got)
	}
	b.joins("crypto.backend", cryptoRedirect)
	b.clock.Advance(time.Minute)
	last := ask()
	if got := receivers(last); !slices.Equal(got, []string{"agency", "crypto", "shop", "crypto"}) {
		t.Errorf("with a grant at both: %v", got)
	}
	if again, before := b.event(last[1].IDToken), b.event(first[1].IDToken); again.ID != before.ID || again.IssuedAt == before.IssuedAt { // E11
		t.Errorf("tried again, the event has jti %s after %s", again.ID, before.ID)
	}
	b.update(func(tx *db.Tx) error {
		return b.grants.RevokeClient(t.Context(), tx, b.person.ID, "agency.web", "test")
	})
	if got := receivers(ask()); !slices.Equal(got, []string{"crypto", "shop", "crypto"}) {
		t.Errorf("after the grant ended: %v", got)
	}
}

// What one publisher says of an event cannot pass for what another one says.
func TestEventIDsOfPublishersAreApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.tokens(basic("market.spare"), asking(b.subject("market"), detail("crypto", sold, "1"))...)
	other := b.tokens(basic("ledger.backend"), asking(b.subject("ledger"), detail("crypto", booked, "1"))...)
	if b.event(one.AccessToken).ID == b.event(other.AccessToken).ID {
		t.Error("two publishers have one jti")
	}
}

// Each credential counts in the budget of conversions, also those that are not
// given.
func TestEventBudget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(pairwise.Budget{PerAccount: 1, AtLeast: 4}) // five in all: there is one account
	two := asking(b.subject("market"), detail("crypto", sold, "1"), detail("agency", sold, "1"))
	b.tokens(basic("market.spare"), two...)
	b.wantRefusal(b.post(token.PathToken, basic("market.spare"), asking("garbage", detail("crypto", sold, "1"), detail("shop", sold, "1"))...), 400, oauth.InvalidRequest, "names nobody")
	over := b.post(token.PathToken, basic("market.spare"), two...)
	b.wantRefusal(over, http.StatusTooManyRequests, oauth.TemporarilyUnavailable, "daily budget")
	if after := over.header.Get("Retry-After"); after == "" || after == "1" {
		t.Errorf("Retry-After is %q", after)
	}
	b.tokens(basic("market.spare"), asking(b.subject("market"), detail("crypto", sold, "1"))...)
	b.wantRefusal(b.post(token.PathToken, basic("market.spare"), asking(b.subject("market"), detail("crypto", sold, "1"))...), 429, oauth.TemporarilyUnavailable, "daily budget")
	// What is refused before anybody is looked for counts nothing; nor do others.
	b.tokens(basic("ledger.backend"), asking(b.subject("ledger"), detail("crypto", booked, "1"), detail("market", booked, "1"))...)
	b.post(token.PathToken, basic("ledger.backend"), asking(b.subject("ledger"), detail("shop", booked, "1"), detail("crypto", booked, "1"))...)
	b.post(token.PathToken, basic("ledger.backend"), askingText(b.subject("ledger"), "[]")...)
	b.tokens(basic("ledger.backend"), asking(b.subject("ledger"), detail("crypto", booked, "1"), detail("market", booked, "1"))...)
	if records := b.records(audit.EventCredentialRefused); !slices.ContainsFunc(records, func(r audit.Record) bool {
		return r.Client == "market.spare" && strings.Contains(r.Detail["why"].(string), "daily budget")
	}) {
		t.Errorf("audit has %+v", records)
	}
	b.clock.Advance(24 * time.Hour)
	b.tokens(basic("market.spare"), two...)
}

// What the group file takes away is gone at once.
func TestGroupDecidesOnEventsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pairs := asking(b.subject("market"), detail("crypto", sold, "1"))
	b.tokens(basic("market.spare"), pairs...)
	b.regroup("receivers: [agency, crypto, shop]", "receivers: [agency, shop]")
	b.wantRefusal(b.post(token.PathToken, basic("market.spare"), pairs...), http.StatusBadRequest, oauth.InvalidTarget, "declare it under events")
}

// No receiver that hears of everybody needs the database; one that does not is
// never told without it.
func TestEventCredentialWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	crypto, agency := detail("crypto", sold, "1"), detail("agency", sold, "1")
	b.tokens(basic("market.spare"), asking(b.subject("market"), crypto)...) // the budget of the day is known now
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	b.tokens(basic("market.spare"), asking(b.subject("market"), crypto)...)
	if a := b.post(token.PathToken, basic("market.spare"), asking(b.subject("market"), crypto, agency)...); a.status < 500 || strings.Contains(a.body, "eyJ") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What cannot be audited is not answered.
func TestNoAuditNoEventCredential(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pairs := asking(b.subject("market"), detail("crypto", sold, "1"))
	b.tokens(basic("market.spare"), pairs...)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.audit.Flush(t.Context()); err == nil {
		t.Fatal("the audit log was written")
	}
	a := b.post(token.PathToken, basic("market.spare"), pairs...)
	b.wantRefusal(a, http.StatusServiceUnavailable, oauth.TemporarilyUnavailable, "")
}

// eventDetails reads the credentials of an answer.
func eventDetails(t *testing.T, tokens oauth.TokenResponse) []oauth.EventDetail {
	t.Helper()
	var details []oauth.EventDetail
	if err := json.Unmarshal(tokens.AuthorizationDetails, &details); err != nil {
		t.Fatalf("%s: %v", tokens.AuthorizationDetails, err)
	}
	return details
}
