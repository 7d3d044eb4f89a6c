package app_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

// credentials are all that went over the wire in a run and could be used by
// who finds it, by what it is.
type credentials map[string]string

// Names under which credentials are sent.
var (
	secretParameters = []string{
		"password", "client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "subject_token", "token", "access_token", "id_token_hint", "csrf",
	}
	secretMembers = []string{"access_token", "refresh_token", "id_token"}
	handleInPath  = regexp.MustCompile(`/(?:signin|signup|consent)/([A-Za-z0-9_-]{20,})`)
	secretInPage  = regexp.MustCompile(`name="(?:csrf|code)" value="([^"]+)"`)
)

// gather notes the credentials of one request and its answer.
func (c credentials) gather(r *http.Request, form url.Values, a *httptest.ResponseRecorder) {
	note := func(what, value string) {
		if len(value) >= 16 { // shorter ones are made-up wrong ones of a test
			c[value] = what
		}
	}
	for _, name := range secretParameters {
		for _, value := range form[name] {
			note("parameter "+name, value)
		}
	}
	if _, given, ok := r.BasicAuth(); ok {
		note("client secret", given)
		if plain, err := url.QueryUnescape(given); err == nil {
			note("client secret", plain)
		}
	}
	for _, cookie := range append(r.Cookies(), a.Result().Cookies()...) {
		note("cookie "+cookie.Name, cookie.Value)
	}
	var members map[string]any
	if json.Unmarshal(a.Body.Bytes(), &members) == nil {
		for _, name := range secretMembers {
			if text, ok := members[name].(string); ok {
				note(name, text)
			}
		}
	}
	if to, err := url.Parse(a.Header().Get("Location")); err == nil {
		note("code", to.Query().Get("code"))
	}
	for _, found := range handleInPath.FindAllStringSubmatch(a.Header().Get("Location")+" "+r.URL.Path, -1) {
		note("handle", found[1])
	}
	for _, found := range secretInPage.FindAllStringSubmatch(a.Body.String(), -1) {
		note("form", found[1])
	}
}

// traces are the texts by which a credential would be recognised: itself, what
// its base64 stands for, and the part of a JWT that makes it one.
func traces(value string) [][]byte {
	found := [][]byte{[]byte(value), []byte(url.QueryEscape(value))}
	random := strings.TrimPrefix(value, "sek_")
	if _, after, ok := strings.Cut(random, "_"); ok && random != value {
		random = after
	}
	if i := strings.LastIndexByte(value, '.'); i >= 0 {
		random = value[i+1:]
		found = append(found, []byte(random))
	}
	if raw, err := b64.DecodeString(random); err == nil && len(raw) >= 16 {
		found = append(found, raw)
	}
	return found
}

// TestNoCredentialIsInTheDatabaseOrTheLog runs through every flow, gathers each
// secret that went over the wire, and looks for it in a dump of the database,
// in the bytes of its files, in the log and in traces (checks K14 and W9).
func TestNoCredentialIsInTheDatabaseOrTheLog(t *testing.T) {
	t.Parallel()
	w, collector := traced(t)
	found := credentials{}
	w.watch = found.gather
	subjects := append(w.wholeDay(), w.eventsOfTheDay(found)...)
	if err := w.app.Audit.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{
		"parameter password", "parameter client_assertion", "parameter code_verifier", "client secret", "cookie __Host-sekisho_session",
		"cookie __Host-sekisho_browser", "cookie __Host-sekisho_device", "access_token", "refresh_token", "id_token", "code", "handle", "form",
	} {
		n := 0
		for _, what := range found {
			if what == kind || strings.HasPrefix(what, "parameter "+kind) {
				n++
			}
		}
		if n == 0 {
			t.Errorf("the run met no %s: it does not go everywhere", kind)
		}
	}
	places := w.dump()
	w.app.CloseTraces(t.Context())
	places["log"], places["traces"] = []byte(w.log.String()), []byte(collector.Raw())
	for place, content := range places {
		for value, what := range found {
			for _, trace := range traces(value) {
				if bytes.Contains(content, trace) {
					t.Errorf("%s holds %s %.24q…", place, what, value)
				}
			}
		}
	}
	for _, name := range []string{email, "chie@example.test", "Aiko Mori"} {
		for _, place := range []string{"log", "traces"} {
			if bytes.Contains(places[place], []byte(name)) {
				t.Errorf("the %s names %s", place, name)
			}
		}
	}
	for place, content := range places {
		for _, subject := range subjects {
			if bytes.Contains(content, []byte(subject)) {
				t.Errorf("%s holds a pairwise subject", place)
			}
		}
	}
	if len(found) < 40 || len(collector.Spans()) < 30 || !strings.Contains(w.log.String(), `"route"`) {
		t.Errorf("%d credentials, %d spans, %d bytes of log", len(found), len(collector.Spans()), len(w.log.String()))
	}
}

// wholeDay is a bit of everything, the refused too. It gives the pairwise
// subjects that were told to clients.
func (w *world) wholeDay() (subjects []string) {
	w.t.Helper()
	rp := w.suite("")
	b := w.browser()
	page := b.fill(rp.open(b, "code_challenge", challenge, "code_challenge_method", "S256"), "signin-form", "email", email, "password", "not the right password at all")
	code := rp.code(b, b.signIn(page), usualState)
	first := rp.redeem(code, "code_verifier", verifier)
	rp.post("/oauth2/token", "grant_type", "authorization_code", "code", "sek_ac_a-code-of-nobody", "redirect_uri", rp.redirect, "code_verifier", verifier)
	rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", first.RefreshToken)
	w.bearer(http.MethodGet, "/oauth2/userinfo", first.AccessToken)

	// A new person, at a public client: rotation, exchange, opaque tokens.
	spa := &relyingParty{w: w, id: "market-app.spa", inBody: true, redirect: "https://market.test/callback"}
	own := w.browser()
	signUp := spa.open(own, "prompt", "create", "scope", "openid email charge keep", "code_challenge", challenge, "code_challenge_method", "S256")
	code = spa.code(own, own.fill(signUp, "signup-form", "email", "chie@example.test", "password", "four quiet herons wading", "name", "Chie"), usualState)
	public := []string{"client_id", spa.id}
	forPay := decode[tokens](w.t, w.public(append(public, "grant_type", "authorization_code", "code", code, "redirect_uri", spa.redirect, "code_verifier", verifier, "resource", pay)...).body)
	next := decode[tokens](w.t, w.public(append(public, "grant_type", "refresh_token", "refresh_token", forPay.RefreshToken, "resource", vault)...).body)
	service := &relyingParty{w: w, id: "pay.backend"}
	further := service.wantTokens(service.post("/oauth2/token", exchange(forPay.AccessToken, market)...))
	keeper := &relyingParty{w: w, id: "vault.backend"}
	keeper.post("/oauth2/introspect", "token", next.AccessToken)
	own.get("/account")

	// Services for themselves: secret, assertion, conversion, revocation.
	own.send(http.MethodPost, "/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"charge"}, "client_assertion_type": {assertionType}, "client_assertion": {w.assertion(nil)},
	})
	convert := service.wantTokens(service.post("/oauth2/token", "grant_type", "client_credentials", "scope", "subjects:convert"))
	w.bearer(http.MethodPost, "/subjects/convert", convert.AccessToken)
	w.public(append(public, "grant_type", "refresh_token", "refresh_token", forPay.RefreshToken+"x")...)
	service.post("/oauth2/revoke", "token", convert.AccessToken)

	// Consent, by a form that posts back; sign-out.
	partner := &relyingParty{w: w, id: "partner.web", redirect: "https://partner.test/callback", mode: "form_post"}
	consent := partner.open(b, "scope", "openid items.read", "code_challenge", challenge, "code_challenge_method", "S256")
	partner.code(b, b.fill(consent, "consent-form", "decision", "allow"), usualState)
	b.fill(b.get("/account"), "withdraw-partner.web")
	rp.logout(b, "id_token_hint", first.IDToken, "post_logout_redirect_uri", suiteLoggedOut)

	for _, jwt := range []string{first.IDToken, forPay.AccessToken, further.AccessToken} {
		subject, ok := decode[map[string]any](w.t, segment(w.t, jwt, 1))["sub"].(string)
		if !ok || len(subject) != 26 {
			w.t.Fatalf("sub %q", subject)
		}
		subjects = append(subjects, subject)
	}
	return subjects
}

// eventsOfTheDay are streams and what is told on them, published and by the
// platform. It gives the subjects in them.
func (w *world) eventsOfTheDay(found credentials) (subjects []string) {
	w.t.Helper()
	const header = "Bearer the-header-of-a-mailbox-that-nobody-has"
	found[header] = "authorization_header"
	push, poll, publisher := w.receiver("pay.backend"), w.receiver("crypto.worker"), w.publisher()
	push.makeStream(members{"delivery": members{"method": oauth.DeliveryPush, "endpoint_url": "https://pay.test/events", "authorization_header": header}})
	id := poll.makeStream(pollDelivery)
	for _, name := range []string{"market", "crypto", "pay"} {
		subjects = append(subjects, w.sub(name, w.person.Ref))
	}
	publisher.want(http.StatusAccepted, http.MethodPost, "/events", w.event("sale-1", "people", members{"buyer": subjects[0]}))
	publisher.refused("nobody", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/events", w.event("sale-2", "subject", subjects[1]))
	poll.want(http.StatusNoContent, http.MethodPost, "/ssf/subjects/remove", members{"stream_id": id, "subject": members{"format": "iss_sub", "iss": issuer, "sub": subjects[1]}})
	if err := w.app.DisableAccount(w.t.Context(), w.person.ID, "test"); err != nil {
		w.t.Fatal(err)
	}
	for _, p := range []*peer{push, poll, publisher} {
		found[p.token] = "access_token"
	}
	for _, set := range poll.poll(id, members{}).Sets {
		found[set] = "SET"
	}
	return subjects
}

// public sends a token request of a public client.
func (w *world) public(pairs ...string) answer {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return w.browser().send(http.MethodPost, "/oauth2/token", form)
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	accessType    = "urn:ietf:params:oauth:token-type:access_token"
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
)

func exchange(subject, resource string) []string {
	return []string{"grant_type", exchangeGrant, "subject_token", subject, "subject_token_type", accessType, "resource", resource}
}

// assertion is a client assertion of market.signer, with claims changed.
func (w *world) assertion(change func(claims map[string]any)) string {
	w.t.Helper()
	now := w.clock.Now().Unix()
	claims := map[string]any{"iss": "market.signer", "sub": "market.signer", "aud": issuer, "iat": now, "exp": now + 60, "jti": secret.ID()}
	if change != nil {
		change(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	signer, err := jose.NewSigner(signerKey(), jose.ES256, "k1", "JWT")
	if err != nil {
		w.t.Fatal(err)
	}
	assertion, err := signer.Sign(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	return assertion
}

// dump is every column of every row, and the files as they are.
func (w *world) dump() map[string][]byte {
	w.t.Helper()
	places := map[string][]byte{}
	if dbtest.OnPostgres() {
		places["database"] = dbtest.Dump(w.t, w.path)
		return places
	}
	for _, path := range []string{w.path, w.path + "-wal"} {
		data, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		places["file "+path[len(w.path):]] = data
	}
	database, err := sql.Open("sqlite", w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	tables := w.column(database, `SELECT name FROM sqlite_master WHERE type = 'table'`)
	if len(tables) < 15 {
		w.t.Errorf("%d tables", len(tables))
	}
	for _, table := range tables {
		places["table "+table] = []byte(strings.Join(w.column(database, `SELECT * FROM `+table), "\x1e")) //nolint:gosec // names from the schema
	}
	return places
}

// column is the columns of all rows one after the other.
func (w *world) column(database *sql.DB, query string) []string {
	w.t.Helper()
	rows, err := database.QueryContext(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for rows.Next() {
		values := make([]any, len(names))
		targets := make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			w.t.Fatal(err)
		}
		for _, value := range values {
			if blob, ok := value.([]byte); ok {
				all = append(all, string(blob))
			} else {
				all = append(all, fmt.Sprint(value))
			}
		}
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// The secrets an operator gives are not in the database either: neither the
// key that seals private keys, nor that of the PPIDs, nor a private key.
func TestOperatorsSecretsAreNotInTheDatabase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.clock.Advance(time.Second)
	for place, content := range w.dump() {
		for _, one := range [][]byte{
			[]byte("a-ppid-secret-of-just-32-bytes--"), []byte("a-key-encryption-key-of-32-bytes"),
			[]byte("PRIVATE KEY"), []byte(`"d":`),
			{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}, // rsaEncryption, in every PKCS #8 of an RSA key
			{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01},             // ecPublicKey, in every PKCS #8 of an EC key
		} {
			if bytes.Contains(content, one) {
				t.Errorf("%s holds %q", place, one)
			}
		}
	}
}
