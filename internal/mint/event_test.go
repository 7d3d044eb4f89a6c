package mint_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
)

const sold = market + "/events/item.sold"

func (b *bundle) subsystem(name string) *registry.Subsystem {
	b.t.Helper()
	found, ok := b.Registry.Current().Subsystem(name)
	if !ok {
		b.t.Fatalf("no subsystem %s", name)
	}
	return found
}

// eventToken is the credential of an event for the app.
func (b *bundle) eventToken() mint.Issued {
	b.t.Helper()
	app := b.subsystem("app")
	issued, err := b.EventToken(mint.EventToken{
		Publisher: "market.backend", Receiver: app, Subject: b.Pairwise.Subject(app.Sector, b.person.Ref),
		ID: b.EventID("market", "app", "sale-1"), Type: sold, BodySHA256: strings.Repeat("A", 43), HappenedAt: b.now.Unix() - 5,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued
}

func (b *bundle) logoutToken(clientID string) mint.Issued {
	b.t.Helper()
	client := b.client(clientID)
	sector := client.Subsystem.Sector
	issued, err := b.LogoutToken(mint.LogoutToken{
		Client: client, Subject: b.Pairwise.Subject(sector, b.person.Ref), SessionID: b.Pairwise.SessionID(sector, [16]byte{9}), ID: "logout-1",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued
}

// part decodes a part of a compact JWS into its members.
func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// wantMembers holds a part of a token to exactly these members.
func wantMembers(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestEventToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	issued := b.eventToken()
	header := part(t, issued.Token, 0)
	if header["alg"] != "ES256" || header["typ"] != "event+jwt" || header["kid"] == "" || len(header) != 3 {
		t.Errorf("header %v", header)
	}
	at := float64(b.now.Unix())
	wantMembers(t, "claims", part(t, issued.Token, 1), map[string]any{
		"iss": issuer, "sub": b.Pairwise.Subject(b.subsystem("app").Sector, b.person.Ref), "aud": "app", "azp": "market.backend",
		"exp": at + 120, "iat": at, "jti": issued.ID, "toe": at - 5,
		"events": map[string]any{sold: map[string]any{"body_sha256": strings.Repeat("A", 43)}},
	})
	if issued.ExpiresIn() != 120 {
		t.Errorf("lives %d seconds", issued.ExpiresIn())
	}
}

// E11: one event has one jti, and no two events share one, whatever their names.
func TestEventID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	again, err := mint.New(b.Config)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string][3]string{}
	for _, event := range [][3]string{
		{"market", "pay", "sale-1"},
		{"market", "crypto", "sale-1"}, // two receivers cannot match
		{"pay", "market", "sale-1"},
		{"market", "pay", "sale-2"},
		{"marketp", "ay", "sale-1"},
		{"market", "paysale-1", ""},
		{"market", "pays", "ale-1"},
		{"", "marketpay", "sale-1"},
		{"market", "pay\x00", "sale-1"},
		{"market", "pay", "\x00sale-1"},
	} {
		id := b.EventID(event[0], event[1], event[2])
		if other, taken := seen[id]; taken {
			t.Errorf("%q and %q are both %s", event, other, id)
		}
		seen[id] = event
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(id); err != nil || len(raw) != 16 {
			t.Errorf("%q is %q", event, id)
		}
		if id != again.EventID(event[0], event[1], event[2]) {
			t.Errorf("%q has another id in another process", event)
		}
	}
	other := setup(t)
	if b.EventID("market", "pay", "sale-1") == other.EventID("market", "pay", "sale-1") {
		t.Error("two installations give one id: it is not made under their key")
	}
}

// A SET is the claims as they are, in the algorithm of the client.
func TestSignSET(t *testing.T) {
	t.Parallel()
	b := setup(t)
	claims := []byte(`{"iss":"https://id.test", "aud":"app"}`)
	for id, alg := range map[string]string{"app.web": "RS256", "app.ios": "ES256"} {
		token, err := b.SignSET(b.client(id), claims)
		if err != nil {
			t.Fatal(err)
		}
		if header := part(t, token, 0); header["alg"] != alg || header["typ"] != "secevent+jwt" || len(header) != 3 {
			t.Errorf("%s: header %v", id, header)
		}
		if got, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1]); err != nil || string(got) != string(claims) {
			t.Errorf("%s: claims %s", id, got)
		}
	}
}

// OIDC Back-Channel Logout §2.4: the members it demands, and none it forbids.
func TestLogoutToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := float64(b.now.Unix())
	for id, alg := range map[string]string{"app.web": "RS256", "app.ios": "ES256"} {
		issued := b.logoutToken(id)
		if header := part(t, issued.Token, 0); header["alg"] != alg || header["typ"] != "logout+jwt" || len(header) != 3 {
			t.Errorf("%s: header %v", id, header)
		}
		sector := b.client(id).Subsystem.Sector
		wantMembers(t, id, part(t, issued.Token, 1), map[string]any{
			"iss": issuer, "sub": b.Pairwise.Subject(sector, b.person.Ref), "aud": id, "iat": at, "exp": at + 120, "jti": "logout-1",
			"sid":    b.Pairwise.SessionID(sector, [16]byte{9}),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		})
	}
}

// K12: what is said of events is taken for nothing else, and nothing else for it.
func TestEventsAreNoOtherTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	set, err := b.SignSET(b.client("app.web"), []byte(`{"iss":"https://id.test","aud":"app.web","client_id":"app.web","sub":"app.web","exp":2000000000}`))
	if err != nil {
		t.Fatal(err)
	}
	signIn, err := b.IDToken(mint.IDToken{Client: b.client("app.web"), Who: b.person.Ref})
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{
		"event": b.eventToken().Token, "set": set, "logout-rs256": b.logoutToken("app.web").Token, "logout": b.logoutToken("app.ios").Token,
		"access": b.userToken(nil).Token, "id-rs256": signIn.Token,
	}
	for name, token := range tokens {
		if _, err := b.Check(t.Context(), token); (name == "access") != (err == nil) || err != nil && !errors.Is(err, mint.ErrInvalid) {
			t.Errorf("%s as an access token: %v", name, err)
		}
		if _, err := b.CheckIDTokenHint(t.Context(), token); (name == "id-rs256") != (err == nil) || err != nil && !errors.Is(err, mint.ErrInvalid) {
			t.Errorf("%s as an id_token_hint: %v", name, err)
		}
		for purpose, taken := range map[keyring.Purpose]string{
			keyring.Event: "event", keyring.SETRS256: "set", keyring.LogoutRS256: "logout-rs256", keyring.Logout: "logout", keyring.SET: "",
		} {
			if _, err := b.Keys.Verify(purpose, token); (name == taken) != (err == nil) {
				t.Errorf("%s verified for %s: %v", name, purpose, err)
			}
		}
	}
}

func BenchmarkEventToken(b *testing.B) {
	s := setup(b)
	app := s.subsystem("app")
	b.ReportAllocs()
	for b.Loop() {
		_, err := s.EventToken(mint.EventToken{
			Publisher: "market.backend", Receiver: app, Subject: s.Pairwise.Subject(app.Sector, s.person.Ref),
			ID: s.EventID("market", "app", "sale-1"), Type: sold, BodySHA256: strings.Repeat("A", 43),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignatureAlone(b *testing.B) {
	s := setup(b)
	claims := make([]byte, 350)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Keys.Sign(keyring.Event, claims); err != nil {
			b.Fatal(err)
		}
	}
}
