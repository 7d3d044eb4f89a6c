package app_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// nextGeneration is a server with two key generations of PPIDs, the second one in
// use for what is new.
func nextGeneration(t *testing.T) *world {
	t.Helper()
	w := startWith(t, &world{
		t: t, path: seeded.DSN(t), clock: newClock(), log: &logBuffer{},
		adjust: func(c *app.Config) {
			c.PPIDSecrets = append(c.PPIDSecrets, []byte("another-ppid-secret-of-32-bytes-"))
		},
	})
	if _, err := w.app.Pairwise.NextGeneration(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	return w
}

func (w *world) rekey(sector string) registry.Sector {
	w.t.Helper()
	s, err := w.app.Registry.Rekey(w.t.Context(), sector, 90*24*time.Hour, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// A new generation changes nobody's identifiers; people and tokens of before go on,
// and new people have identifiers that come back, too.
func TestNextGenerationChangesNobody(t *testing.T) {
	t.Parallel()
	w := startWith(t, &world{t: t, path: seeded.DSN(t), clock: newClock(), log: &logBuffer{}})
	old := w.sub("market-app", w.person.Ref)
	w2 := nextGeneration(t)
	if got := w2.sub("market-app", w2.person.Ref); len(got) != len(old) {
		t.Errorf("%s became %s", old, got)
	}
	young := w2.newPerson("young")
	if young.Ref.Gen != 2 {
		t.Fatalf("a new person has generation %d", young.Ref.Gen)
	}
	convert := w2.peer("market.gateway", oauth.ScopeConvert)
	got := convert.want(http.StatusOK, http.MethodPost, "/subjects/convert", members{
		"from": "market-app", "to": "market", "subjects": []string{w2.sub("market-app", w2.person.Ref), w2.sub("market-app", young.Ref)},
	})
	want := []any{w2.sub("market", w2.person.Ref), w2.sub("market", young.Ref)}
	if list, _ := got["subjects"].([]any); !slices.Equal(list, want) {
		t.Errorf("converted to %v, not %v", list, want)
	}
}

// A re-keyed sector, from end to end: what it was given goes on, what it gets is
// new and says what it was, its receivers are told, and its ids are issued again.
func TestRekeyedSector(t *testing.T) {
	t.Parallel()
	w := nextGeneration(t)
	rp, b := w.suite(""), w.signedIn()
	before := rp.finish(b, rp.open(b))
	formerSub := rp.idToken(before.tokens, usualNonce)["sub"]
	crypto := w.receiver("crypto.worker")
	stream := crypto.makeStream(pollDelivery)
	formerCrypto := w.sub("crypto", w.person.Ref)
	if scopes := w.serviceScopes("crypto.worker"); slices.Contains(scopes, oauth.ScopeReissue) {
		t.Error("subjects:reissue without anything to reissue")
	}

	w.rekey("suite")
	w.rekey("crypto")
	if now := w.sub("crypto", w.person.Ref); now != formerCrypto {
		t.Error("changed at once, before other processes can know")
	}
	w.clock.Advance(2 * time.Minute)

	// What was given before is good, and still says what it said.
	if got := rp.userinfo(before.tokens)["sub"]; got != formerSub {
		t.Errorf("userinfo of a token of before: %v, not %v", got, formerSub)
	}
	hinted := rp.finishWith(b, rp.open(b, "prompt", "none", "id_token_hint", before.tokens.IDToken), usualState, usualNonce, "former_sub")
	claims := rp.idToken(hinted.tokens, usualNonce, "former_sub")
	if claims["sub"] == formerSub || claims["former_sub"] != formerSub {
		t.Errorf("sub %v, former_sub %v, before %v", claims["sub"], claims["former_sub"], formerSub)
	}
	other := &relyingParty{w: w, id: "suite.second", redirect: suiteCallback}
	if claims := other.idToken(other.finish(b, other.open(b)).tokens, usualNonce); claims["former_sub"] != nil {
		t.Error("former_sub for a client that did not ask for it")
	}

	// The receivers of the sector are told, and nobody else.
	w.app.Courier.Tick(t.Context())
	told := crypto.sets(stream)[oauth.EventSubjectsRekeyed]
	if len(told) != 1 {
		t.Fatalf("told %d times", len(told))
	}
	var about struct {
		SubID  oauth.SubjectID `json:"sub_id"`
		Events map[string]struct {
			Sector      string `json:"sector"`
			FormerUntil int64  `json:"former_until"`
		} `json:"events"`
	}
	text, _ := json.Marshal(told[0])
	if err := json.Unmarshal(text, &about); err != nil {
		t.Fatal(err)
	}
	body := about.Events[oauth.EventSubjectsRekeyed]
	if about.SubID.Format != oauth.FormatOpaque || about.SubID.ID != stream || body.Sector != "crypto" ||
		body.FormerUntil != w.clock.Now().Add(90*24*time.Hour).Unix() {
		t.Errorf("told %s", text)
	}

	// Former ids are issued again; new ones stay, garbage is nobody.
	reissue := w.peer("crypto.worker", oauth.ScopeReissue)
	now := w.sub("crypto", w.person.Ref)
	got := reissue.want(http.StatusOK, http.MethodPost, "/subjects/reissue", members{
		"subjects": []string{formerCrypto, now, "garbage", w.sub("market", w.person.Ref)},
	})
	if list, _ := got["subjects"].([]any); !slices.Equal(list, []any{now, now, nil, nil}) || now == formerCrypto {
		t.Errorf("reissued %v, want %s", got, now)
	}
	if list, _ := got["former"].([]any); !slices.Equal(list, []any{formerCrypto, formerCrypto, nil, nil}) {
		t.Errorf("reissued %v, former was %s", got, formerCrypto)
	}
	reissue.refused("another member", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/subjects/reissue", members{"subjects": []string{}, "from": "crypto"})
	w.peer("market.gateway", oauth.ScopeConvert).refused("another scope", http.StatusForbidden, oauth.InsufficientScope, http.MethodPost, "/subjects/reissue", members{"subjects": []string{now}})
	if strings.Contains(w.log.String(), formerCrypto) || strings.Contains(w.log.String(), now) {
		t.Error("a subject stands in the log")
	}

	// The overlap ends by itself.
	w.clock.Advance(90 * 24 * time.Hour)
	reissue = w.peer("crypto.worker", oauth.ScopeReissue)
	got = reissue.want(http.StatusOK, http.MethodPost, "/subjects/reissue", members{"subjects": []string{formerCrypto, now}})
	if list, _ := got["subjects"].([]any); !slices.Equal(list, []any{nil, now}) {
		t.Errorf("after the overlap: %v", list)
	}
}

// A process that has no secret for a generation serves nobody, and says so.
func TestWithoutTheSecretOfAGeneration(t *testing.T) {
	t.Parallel()
	w := setup(t)
	other := startWith(t, &world{
		t: t, path: w.path, clock: w.clock, log: &logBuffer{},
		adjust: func(c *app.Config) {
			c.PPIDSecrets = append(c.PPIDSecrets, []byte("another-ppid-secret-of-32-bytes-"))
		},
	})
	if _, err := other.app.Pairwise.NextGeneration(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	// As the change feed has it, half a second later.
	err := w.app.DB.Update(t.Context(), func(tx *db.Tx) error {
		tx.Changed("pairwise")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := w.bearer(http.MethodGet, "/oauth2/userinfo", "x"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := other.bearer(http.MethodGet, "/oauth2/userinfo", "x"); a.status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// serviceScopes are those that a client gets of the server's own API.
func (w *world) serviceScopes(id string) []string {
	w.t.Helper()
	client, ok := w.app.Registry.Current().Client(id)
	if !ok {
		w.t.Fatalf("no client %s", id)
	}
	rp := &relyingParty{w: w, id: client.ID}
	a := rp.post("/oauth2/token", "grant_type", "client_credentials", "resource", issuer)
	return strings.Fields(decode[struct{ Scope string }](w.t, a.body).Scope)
}
