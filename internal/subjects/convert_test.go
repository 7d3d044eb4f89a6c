package subjects_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

func TestConvertInAndOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, bob := b.signUp("alice"), b.signUp("bob")
	for _, other := range []string{"market-app", "crypto", "pay"} {
		theirs := []string{b.sub(other, alice), b.sub(other, bob), b.sub(other, alice)}
		ours := []string{b.sub("market", alice), b.sub("market", bob), b.sub("market", alice)}
		if got := b.convert("market.backend", other, "market", theirs...); !slices.Equal(got, ours) {
			t.Errorf("in from %s: %v, not %v", other, got, ours)
		}
		if got := b.convert("market.backend", "market", other, ours...); !slices.Equal(got, theirs) {
			t.Errorf("out to %s: %v, not %v", other, got, theirs)
		}
	}
}

// Unknown, foreign, disabled, deleted and malformed are one null.
func TestNobodyIsNull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, off, gone := b.signUp("alice"), b.signUp("off"), b.signUp("gone")
	list := []string{
		b.sub("market-app", off), b.sub("market-app", gone), b.sub("market-app", alice), b.sub("crypto", alice), b.sub("market", alice),
		strings.ToUpper(b.sub("market-app", alice)), "market-app.web", "", "null", `"`, strings.Repeat("a", 26), "日本語", strings.Repeat("z", 5000),
	}
	b.update(func(ctx context.Context, tx *db.Tx) error {
		if err := b.people.Disable(ctx, tx, off.ID, account.Origin{}); err != nil {
			return err
		}
		return b.people.Delete(ctx, tx, gone.ID, account.Origin{})
	})
	want := make([]string, len(list))
	want[2] = b.sub("market", alice)
	if got := b.convert("market.backend", "market-app", "market", list...); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	records := b.records(audit.SubjectsConverted)
	if len(records) != 1 || records[0].Client != "market.backend" || records[0].Detail["asked"] != float64(len(list)) || records[0].Detail["converted"] != 1.0 ||
		records[0].Detail["from"] != "market-app" || records[0].Detail["to"] != "market" {
		t.Errorf("audit has %+v", records)
	}
	for _, sub := range list[:5] {
		if strings.Contains(b.log.String(), sub) {
			t.Error("a subject stands in the log")
		}
	}
}

func TestEmptyBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.post(b.token("market.backend"), body("market-app", "market"))
	if got.status != http.StatusOK || got.body != `{"subjects":[]}` {
		t.Errorf("%d %s", got.status, got.body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": "15"} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q", name, got.header.Get(name))
		}
	}
}

// Along edges only, one end always the asker's own, and one answer to everything
// else.
func TestNoEdge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice := b.signUp("alice")
	var bodies []string
	for _, c := range []struct{ name, asker, from, to string }{
		{"no such subsystem", "market.backend", "nowhere", "market"},
		{"no such subsystem, out", "market.backend", "market", "nowhere"},
		{"calls somebody else", "market.backend", "stranger", "market"},
		{"calls somebody else, out", "market.backend", "market", "stranger"},
		{"is called by the asker and does not call", "market.backend", "market", "ledger"},
		{"is called by the asker, in", "market.backend", "ledger", "market"},
		{"the asker calls it", "pay.backend", "market", "pay"},
		{"between two others", "ledger.backend", "market-app", "market"},
		{"between two others, both real edges", "pay.backend", "market-app", "market"},
		{"to itself", "market.backend", "market", "market"},
		{"receives the asker's events, in", "market.backend", "depot", "market"},
		{"publishes to the asker, which calls it", "market.backend", "ledger", "market"},
		{"publishes to the asker, out", "market.backend", "market", "ledger"},
		{"receives another's events", "ledger.backend", "ledger", "depot"},
		{"receives another's events, between two others", "pay.backend", "market", "depot"},
		{"empty names", "market.backend", "", ""},
		{"a client instead of a subsystem", "market.backend", "market-app.web", "market"},
		{"a long name", "market.backend", strings.Repeat("x", 10_000), "market"},
	} {
		list := []string{"garbage"}
		if _, ok := b.registry.Current().Subsystem(c.from); ok {
			list[0] = b.sub(c.from, alice)
		}
		got := b.post(b.token(c.asker), body(c.from, c.to, list...))
		if got.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
		bodies = append(bodies, got.body)
	}
	b.wantRefusal(answer{http.StatusForbidden, nil, bodies[0]}, http.StatusForbidden, oauth.AccessDenied, "no edge joins these two")
	if slices.Sort(bodies); len(slices.Compact(bodies)) != 1 {
		t.Errorf("the answers differ: %q", bodies)
	}
	if records := b.records(audit.SubjectsRefused); len(records) != 18 || !strings.Contains(records[0].Reason, "no edge") {
		t.Errorf("audit has %d records", len(records))
	}
}

// Of a third party, and of others where the edge says so, only people who hold
// something there are converted, whichever way.
func TestOnlyHolders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, party := range []struct{ subsystem, client string }{{"partner", "partner.spa"}, {"lottery", "lottery.web"}} {
		holder, other := b.signUp("holder-"+party.subsystem), b.signUp("other-"+party.subsystem)
		granted := b.signIn(holder, party.client)
		theirs := []string{b.sub(party.subsystem, other), b.sub(party.subsystem, holder), "garbage"}
		ours := []string{b.sub("market", other), b.sub("market", holder), "garbage"}
		if got, want := b.convert("market.backend", party.subsystem, "market", theirs...), []string{"", ours[1], ""}; !slices.Equal(got, want) {
			t.Errorf("in from %s: %q", party.subsystem, got)
		}
		if got, want := b.convert("market.backend", "market", party.subsystem, ours...), []string{"", theirs[1], ""}; !slices.Equal(got, want) {
			t.Errorf("out to %s: %q", party.subsystem, got)
		}
		if got := b.convert("market.backend", "market", party.subsystem, "garbage"); got[0] != "" {
			t.Errorf("garbage is %q", got)
		}
		b.update(func(ctx context.Context, tx *db.Tx) error {
			return b.grants.RevokeClient(ctx, tx, granted.AccountID, party.client, "test")
		})
		if got := b.convert("market.backend", "market", party.subsystem, ours...); got[1] != "" {
			t.Errorf("after revocation at %s: %q", party.subsystem, got)
		}
	}
}

// A publisher turns its subjects into those of a receiver of its events, for
// the people whom the declaration lets it speak of there.
func TestOutwardsToReceivers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	holder, other := b.signUp("holder"), b.signUp("other")
	b.signIn(holder, "agency.web")
	b.signIn(holder, "vault.backend")
	ours := []string{b.sub("market", other), b.sub("market", holder), b.sub("depot", holder), "garbage"}
	for _, c := range []struct {
		receiver  string
		everybody bool
	}{
		{"depot", true},
		{"vault", false},  // require_grant
		{"agency", false}, // third party
	} {
		want := []string{"", b.sub(c.receiver, holder), "", ""}
		if c.everybody {
			want[0] = b.sub(c.receiver, other)
		}
		if got := b.convert("market.backend", "market", c.receiver, ours...); !slices.Equal(got, want) {
			t.Errorf("out to %s: %q, want %q", c.receiver, got, want)
		}
	}
	// Where one of two declarations is about everybody, it is the one that counts;
	// an edge counts the same. And a declaration that is taken away is gone at once.
	if err := b.apply(t.Context(), "receivers: [depot, agency]", "receivers: [depot, vault]"); err != nil {
		t.Fatal(err)
	}
	if got := b.convert("market.backend", "market", "vault", ours[0]); got[0] != b.sub("vault", other) {
		t.Errorf("with two declarations: %q", got)
	}
	b.wantRefusal(b.post(b.token("market.backend"), body("market", "agency", ours...)), 403, oauth.AccessDenied, "no edge")
	if err := b.apply(t.Context(), "receivers: [vault], require_grant", "receivers: [vault, crypto], require_grant"); err != nil {
		t.Fatal(err)
	}
	if got := b.convert("market.backend", "market", "crypto", ours[0]); got[0] != b.sub("crypto", other) {
		t.Errorf("with an edge beside the declaration: %q", got)
	}
	b.wantRefusal(b.post(b.token("market.backend"), body("depot", "market", b.sub("depot", holder))), 403, oauth.AccessDenied, "no edge")
}

func TestTokenMustBeAServicesOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice := b.signUp("alice")
	market := b.client("market.backend")
	convert, here := oauth.Scopes{oauth.ScopeConvert}, oauth.Audience{issuer}
	user, err := b.mint.UserToken(mint.UserToken{Client: market, Who: alice.Ref, Audience: here, Scopes: convert, SignIn: mint.SignIn{At: b.clock.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	old := b.token("market.backend")
	b.clock.Advance(mint.ServiceTokenLife)
	for _, c := range []struct {
		name, token string
		status      int
		code        oauth.Code
		words       string
	}{
		{"garbage", "garbage", 401, oauth.InvalidToken, "not valid"},
		{"expired", old, 401, oauth.InvalidToken, "not valid"},
		{"forged", b.token("market.backend") + "A", 401, oauth.InvalidToken, "not valid"},
		{"user context", b.userToken(market, alice, convert, here), 403, oauth.InsufficientScope, "user context"},
		{"expired user context", user.Token, 401, oauth.InvalidToken, "not valid"},
		{"another audience", b.serviceToken(mint.ServiceToken{Client: market, Audience: oauth.Audience{"https://api.pay.test"}, Scopes: convert}), 401, oauth.InvalidToken, "not for this server"},
		{"no scope", b.serviceToken(mint.ServiceToken{Client: market, Audience: here}), 403, oauth.InsufficientScope, "subjects:convert"},
		{"a backend's", b.token("crypto.backend"), 403, oauth.AccessDenied, "Only confidential clients of a service"},
		{"a third party's", b.token("partner.web"), 403, oauth.AccessDenied, "Only confidential clients of a service"},
	} {
		got := b.post(c.token, body("market-app", "market", b.sub("market-app", alice)))
		b.wantRefusal(got, c.status, c.code, c.words)
		if challenge := got.header.Get("WWW-Authenticate"); (c.code != oauth.AccessDenied) != strings.HasPrefix(challenge, "Bearer ") {
			t.Errorf("%s: WWW-Authenticate is %q", c.name, challenge)
		}
		if c.code == oauth.InsufficientScope && !strings.Contains(got.header.Get("WWW-Authenticate"), `scope="subjects:convert"`) {
			t.Errorf("%s: the challenge does not name the scope", c.name)
		}
	}
	opaque := b.serviceToken(mint.ServiceToken{Client: market, Audience: here, Scopes: convert, Opaque: true})
	if got := b.post(opaque, body("market-app", "market", b.sub("market-app", alice))); got.status != http.StatusOK {
		t.Errorf("an opaque token: %d %s", got.status, got.body)
	}
}

func (b *bundle) userToken(client *registry.Client, who *account.Account, scopes oauth.Scopes, audience oauth.Audience) string {
	b.Helper()
	issued, err := b.mint.UserToken(mint.UserToken{Client: client, Who: who.Ref, Audience: audience, Scopes: scopes, SignIn: mint.SignIn{At: b.clock.Now()}})
	if err != nil {
		b.Fatal(err)
	}
	return issued.Token
}

// An edge that is taken away takes the conversion with it, at once.
func TestGroupDecidesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice := b.signUp("alice")
	b.convert("market.backend", "pay", "market", b.sub("pay", alice))
	if err := b.apply(t.Context(), "  - { from: pay, to: market, user: [items.read] }\n", ""); err != nil {
		t.Fatal(err)
	}
	b.wantRefusal(b.post(b.token("market.backend"), body("pay", "market", b.sub("pay", alice))), 403, oauth.AccessDenied, "no edge")
}

func TestRequestForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token := b.token("market.backend")
	send := func(method, contentType, body string, headers ...string) answer {
		r := httptest.NewRequestWithContext(t.Context(), method, issuer+"/subjects/convert?access_token="+token, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		for _, h := range headers {
			r.Header.Add("Authorization", h)
		}
		return b.send(r)
	}
	good := body("market-app", "market")
	if got := send(http.MethodPost, "application/json", good); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" || got.body != "" {
		t.Errorf("a token in the URL: %d %s", got.status, got.body)
	}
	if got := send(http.MethodPost, "application/json; charset=utf-8", good, "bearer "+token); got.status != http.StatusOK {
		t.Errorf("with a charset: %d %s", got.status, got.body)
	}
	b.wantRefusal(send(http.MethodPost, "application/json", good, "Bearer "+token, "Bearer "+token), 400, oauth.InvalidRequest, "more than one Authorization")
	b.wantRefusal(send(http.MethodPost, "application/json", good, "Basic "+token), 400, oauth.InvalidRequest, "must be Bearer")
	b.wantRefusal(send(http.MethodPost, "application/x-www-form-urlencoded", good, "Bearer "+token), 415, oauth.InvalidRequest, "application/json")
	b.wantRefusal(send(http.MethodPost, "", good, "Bearer "+token), 415, oauth.InvalidRequest, "application/json")
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		got := send(method, "application/json", good, "Bearer "+token)
		b.wantRefusal(got, 405, oauth.InvalidRequest, "POST")
		if got.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: Allow is %q", method, got.header.Get("Allow"))
		}
	}

	exact := `{"from":"market-app","to":"market","subjects":[""]}`
	full := strings.Replace(exact, `[""]`, `["`+strings.Repeat("x", 64<<10-len(exact))+`"]`, 1)
	if got := b.post(token, full); got.status != http.StatusOK {
		t.Errorf("64 KiB: %d %s", got.status, got.body)
	}
	b.wantRefusal(b.post(token, full+" "), 413, oauth.InvalidRequest, "64 KiB")
	if got := b.post(token, body("market-app", "market", numbered("%d", 1000)...)); got.status != http.StatusOK {
		t.Errorf("1,000 subjects: %d %s", got.status, got.body)
	}
	b.wantRefusal(b.post(token, body("market-app", "market", numbered("%d", 1001)...)), 400, oauth.InvalidRequest, "more than 1000 entries")
}

func TestBodyIsReadStrictly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token := b.token("market.backend")
	for _, c := range []struct{ body, words string }{
		{``, "is not a JSON object"},
		{`null`, "is not a JSON object"},
		{`[]`, "is not a JSON object"},
		{`"from"`, "is not a JSON object"},
		{`{`, "is not a JSON object"},
		{`{"from":"market-app","to":"market","subjects":["a"]`, "is not a JSON object"},
		{`{"from":"market-app","to":"market","subjects":["a"`, "is not a JSON object"},
		{`{"from":"market-app","to":"market","subjects":["a",]}`, "is not a JSON object"},
		{`{"from":"market-app" "to":"market"}`, "is not a JSON object"},
		{`{'from':'market-app'}`, "is not a JSON object"},
		{`{"from":"market-app","to":"market"}`, "subjects is missing"},
		{`{"to":"market","subjects":[]}`, "from is missing"},
		{`{"from":"market-app","subjects":[]}`, "to is missing"},
		{`{"from":"market-app","to":"market","subjects":[],"mode":"all"}`, "other members than from, to and subjects"},
		{`{"From":"market-app","to":"market","subjects":[]}`, "other members than from, to and subjects"},
		{`{"from":"market-app","from":"market-app","to":"market","subjects":[]}`, "is there twice"},
		{`{"from":"market-app","fr\u006fm":"market-app","to":"market","subjects":[]}`, "is there twice"},
		{`{"from":1,"to":"market","subjects":[]}`, "from must be a string"},
		{`{"from":"market-app","to":null,"subjects":[]}`, "to must be a string"},
		{`{"from":"market-app","to":["market"],"subjects":[]}`, "to must be a string"},
		{`{"from":"market-app","to":"market","subjects":"a"}`, "subjects must be a list of strings"},
		{`{"from":"market-app","to":"market","subjects":null}`, "subjects must be a list of strings"},
		{`{"from":"market-app","to":"market","subjects":["a",1]}`, "subjects must be a list of strings"},
		{`{"from":"market-app","to":"market","subjects":[null]}`, "subjects must be a list of strings"},
		{`{"from":"market-app","to":"market","subjects":[["a"]]}`, "subjects must be a list of strings"},
		{`{"from":"market-app","to":"market","subjects":[]}{}`, "something behind"},
		{`{"from":"market-app","to":"market","subjects":[]}]`, "something behind"},
	} {
		b.wantRefusal(b.post(token, c.body), http.StatusBadRequest, oauth.InvalidRequest, c.words)
	}
	if got := b.post(token, " \n{ \"subjects\" : [ ] , \"to\" : \"market\",\"from\":\"market\\u002dapp\" }\n"); got.status != http.StatusOK {
		t.Errorf("spaces and escapes: %d %s", got.status, got.body)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := setupBudget(t, pairwise.Budget{PerAccount: 10, AtLeast: 80})
	b.signUp("alice")
	b.signUp("bob")
	ask := func(client string, n int) answer {
		other := map[string]string{"market.backend": "market-app", "pay.backend": "stranger"}[client]
		mine := strings.TrimSuffix(client, ".backend")
		return b.post(b.token(client), body(other, mine, numbered("%d", n)...))
	}
	const alarm = "a tenth of its daily budget"
	if got := ask("market.backend", 9); got.status != http.StatusOK || strings.Contains(b.log.String(), alarm) {
		t.Errorf("%d, alarm too early: %s", got.status, b.log)
	}
	if got := ask("market.backend", 1); got.status != http.StatusOK || strings.Count(b.log.String(), alarm) != 1 {
		t.Errorf("%d, no alarm: %s", got.status, b.log)
	}
	if got := ask("market.backend", 80); got.status != http.StatusOK || strings.Count(b.log.String(), alarm) != 1 {
		t.Errorf("%d, second alarm: %s", got.status, b.log)
	}
	got := ask("market.backend", 11)
	b.wantRefusal(got, http.StatusTooManyRequests, oauth.TemporarilyUnavailable, "daily budget")
	if got.header.Get("Retry-After") != strconv.Itoa(12*60*60) {
		t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
	}
	if got := ask("market.backend", 10); got.status != http.StatusOK {
		t.Errorf("what is left: %d", got.status)
	}
	b.wantRefusal(ask("market.backend", 1), http.StatusTooManyRequests, oauth.TemporarilyUnavailable, "daily budget")
	if got := ask("pay.backend", 100); got.status != http.StatusOK {
		t.Errorf("another asker: %d %s", got.status, got.body)
	}
	if records := b.records(audit.SubjectsRefused); len(records) != 2 || !strings.Contains(records[0].Reason, "budget") {
		t.Errorf("audit has %+v", records)
	}
	b.clock.Advance(12 * time.Hour)
	if got := ask("market.backend", 100); got.status != http.StatusOK {
		t.Errorf("the next day: %d %s", got.status, got.body)
	}
}

// What cannot be audited is not answered.
func TestNoAuditNoAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice := b.signUp("alice")
	sub := b.sub("market-app", alice)
	b.convert("market.backend", "market-app", "market", sub)
	token, late := b.token("market.backend"), b.token("ledger.backend")
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.audit.Flush(t.Context()); err == nil {
		t.Fatal("the audit log was written")
	}
	for name, got := range map[string]answer{
		"a conversion": b.post(token, body("market-app", "market", sub)),
		"a refusal":    b.post(late, body("market-app", "market", sub)),
		"third party":  b.post(token, body("partner", "market", b.sub("partner", alice))),
	} {
		b.wantRefusal(got, http.StatusServiceUnavailable, oauth.TemporarilyUnavailable, "")
		if got.header.Get("Retry-After") == "" || strings.Contains(got.body, sub) {
			t.Errorf("%s: %v %s", name, got.header, got.body)
		}
	}
}

func BenchmarkConvert1000(b *testing.B) {
	s := setupBudget(b, pairwise.Budget{AtLeast: 1 << 60})
	list := make([]string, 1000)
	sector := s.subsystem("market-app").Sector
	for i := range list {
		var h account.Handle
		binary.BigEndian.PutUint64(h[:], uint64(i))
		list[i] = s.pairwise.Subject(sector, account.Ref{Handle: h, Gen: 1})
	}
	token, text := s.token("market.backend"), body("market-app", "market", list...)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.audit.Run(ctx) }()
	b.ReportAllocs()
	for b.Loop() {
		if got := s.post(token, text); got.status != http.StatusOK {
			b.Fatal(got.status, got.body)
		}
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "ids/s")
	stop()
	<-done
}
