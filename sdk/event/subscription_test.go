package event_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

func TestTheLifeOfASubscription(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.listen()
	status, made := f.ask("pay", http.MethodPost, "", `{"url":"`+h.url+`","types":["item.sold","shop.closed"]}`)
	id, _ := made["id"].(string)
	secret, _ := made["secret"].(string)
	if status != http.StatusCreated || made["state"] != "unverified" || !strings.HasPrefix(secret, "whsec_") || made["url"] != h.url ||
		fmt.Sprint(made["types"]) != "[item.sold shop.closed]" || made["created_at"] != "2026-03-01T12:00:00Z" {
		t.Fatalf("got %d %v", status, made)
	}
	// Nothing goes to an address that was not asked, and nothing is kept for it.
	f.publish(f.sold("alice", "0"))
	f.deliver()
	h.want("")
	if status, answer := f.ask("pay", http.MethodPost, id+"/verify", ""); status != http.StatusOK || answer["state"] != "active" || answer["secret"] != nil {
		t.Errorf("verifying: got %d %v", status, answer)
	}
	f.publish(f.sold("alice", "1"))
	f.deliver()
	h.want("1")

	// It is shown without its secret.
	for _, path := range []string{id, ""} {
		status, answer := f.ask("pay", http.MethodGet, path, "")
		text, err := json.Marshal(answer)
		if err != nil || status != http.StatusOK || !strings.Contains(string(text), id) || strings.Contains(string(text), "secret") {
			t.Errorf("got %d %s", status, text)
		}
	}

	// Other types, then another address: to be verified, and what happens until
	// then is kept.
	if status, answer := f.ask("pay", http.MethodPatch, id, `{"types":["shop.closed"]}`); status != http.StatusOK || answer["state"] != "active" {
		t.Errorf("changing: got %d %v", status, answer)
	}
	f.publish(f.sold("alice", "2"))
	f.deliver()
	h.want("1")
	moved := f.listen()
	status, answer := f.ask("pay", http.MethodPatch, id, `{"url":"`+moved.url+`","types":["item.sold"]}`)
	if status != http.StatusOK || answer["state"] != "unverified" || answer["url"] != moved.url {
		t.Errorf("changing: got %d %v", status, answer)
	}
	f.publish(f.sold("alice", "3"))
	f.pass(time.Minute)
	moved.want("")
	if status, answer := f.ask("pay", http.MethodPost, id+"/verify", ""); status != http.StatusOK {
		t.Errorf("verifying: got %d %v", status, answer)
	}
	f.deliver()
	moved.want("3")
	h.want("1")

	if status, _ := f.ask("pay", http.MethodDelete, id, ""); status != http.StatusNoContent {
		t.Errorf("removing: got %d", status)
	}
	f.publish(f.sold("alice", "4"))
	f.pass(time.Minute)
	moved.want("3")
	if status, _ := f.ask("pay", http.MethodGet, id, ""); status != http.StatusNotFound {
		t.Errorf("removed: got %d", status)
	}
}

// E9: for a day both secrets are used; requests keep their id.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	verifies := func(call hookCall, secrets ...string) bool {
		return event.VerifySignature(secrets, call.header, []byte(call.body), f.issuer.Clock.Now()) == nil
	}
	status, answer := f.ask("pay", http.MethodPost, h.id+"/secret", "")
	next, _ := answer["secret"].(string)
	if status != http.StatusOK || next == h.secret || !strings.HasPrefix(next, "whsec_") {
		t.Fatalf("got %d %v", status, answer)
	}
	f.publish(f.sold("alice", "1"))
	f.deliver()
	if call := h.got()[0]; !verifies(call, h.secret) || !verifies(call, next) || verifies(call, newSecret) {
		t.Errorf("signed %s", call.header.Get("Webhook-Signature"))
	}
	f.pass(event.SecretOverlap)
	f.publish(f.sold("alice", "2"))
	f.deliver()
	if call := h.got()[1]; verifies(call, h.secret) || !verifies(call, next) {
		t.Errorf("signed %s a day later", call.header.Get("Webhook-Signature"))
	}
	if _, answer := f.ask("pay", http.MethodPost, h.id+"/secret", ""); answer["secret"] == next || answer["secret"] == h.secret {
		t.Error("a secret came back")
	}
	var inDatabase int
	err := f.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sekisho_event_subscription WHERE
		id || subsystem || client || url || types || state || reason LIKE '%whsec%'`).Scan(&inDatabase)
	if err != nil || inDatabase != 0 {
		t.Errorf("%d secrets in the database, %v", inDatabase, err)
	}
}

// E5: another's subscription is not there, for whatever one asks.
func TestSubscriptionsOfOthersAreNotThere(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	f.issuer.Clock.Advance(time.Minute)
	unknown := "evs_" + strings.Repeat("a", 26)
	for _, request := range []struct{ method, path, body string }{
		{http.MethodGet, "", ""},
		{http.MethodPatch, "", `{"types":["shop.closed"]}`},
		{http.MethodPatch, "", `nonsense`},
		{http.MethodDelete, "", ""},
		{http.MethodPost, "/verify", ""},
		{http.MethodPost, "/secret", ""},
	} {
		status, answer := f.ask("crypto", request.method, h.id+request.path, request.body)
		otherStatus, other := f.ask("crypto", request.method, unknown+request.path, request.body)
		if status != http.StatusNotFound || otherStatus != status || fmt.Sprint(answer) != fmt.Sprint(other) || answer["error"] != "not_found" {
			t.Errorf("%s %s: got %d %v and %d %v", request.method, request.path, status, answer, otherStatus, other)
		}
	}
	if _, answer := f.ask("crypto", http.MethodGet, "", ""); fmt.Sprint(answer["subscriptions"]) != "[]" {
		t.Errorf("listed %v", answer)
	}
	f.publish(f.sold("alice", "lamp"))
	f.deliver()
	h.want("lamp")
}

func TestSubscriptionsNeedAServicesToken(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"a person's":       {f.issuer.AccessToken(f.issuer.UserClaims("alice", "pay.backend", marketAudience, "events")), http.StatusForbidden},
		"another scope's":  {f.issuer.AccessToken(f.issuer.ServiceClaims("pay.backend", marketAudience, "settle")), http.StatusForbidden},
		"for another API":  {f.issuer.AccessToken(f.issuer.ServiceClaims("pay.backend", "https://api.pay.example", "events")), http.StatusUnauthorized},
		"no token":         {"", http.StatusBadRequest},
		"nobody's garbage": {"a.b.c", http.StatusUnauthorized},
	} {
		for _, request := range [][2]string{
			{http.MethodGet, ""},
			{http.MethodPost, ""},
			{http.MethodGet, "evs_a"},
			{http.MethodPatch, "evs_a"},
			{http.MethodDelete, "evs_a"},
			{http.MethodPost, "evs_a/verify"},
			{http.MethodPost, "evs_a/secret"},
		} {
			if status, answer := f.askWith(c.token, request[0], request[1], ""); status != c.want {
				t.Errorf("%s: %s %s: got %d %v", name, request[0], request[1], status, answer)
			}
		}
	}
	for _, request := range [][2]string{{http.MethodPut, ""}, {http.MethodPut, "evs_a"}, {http.MethodGet, "evs_a/verify"}, {http.MethodDelete, ""}} {
		if status, _ := f.ask("pay", request[0], request[1], ""); status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: got %d", request[0], request[1], status)
		}
	}
	if status, _ := f.ask("pay", http.MethodGet, "evs_a/other", ""); status != http.StatusNotFound {
		t.Errorf("got %d", status)
	}
}

func TestRegisteringRefuses(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	good := `"types":["item.sold"]`
	for name, body := range map[string]string{
		"nothing":                 ``,
		"no JSON":                 `url=https://1.1.1.1`,
		"a list":                  `[]`,
		"two values":              `{"url":"https://a.example/",` + good + `}{}`,
		"another member":          `{"url":"https://a.example/",` + good + `,"state":"active"}`,
		"no url":                  `{` + good + `}`,
		"no types":                `{"url":"https://a.example/"}`,
		"an empty list of types":  `{"url":"https://a.example/","types":[]}`,
		"a type of another":       `{"url":"https://a.example/","types":["item.lost"]}`,
		"a type as a pattern":     `{"url":"https://a.example/","types":["%"]}`,
		"a type twice":            `{"url":"https://a.example/","types":["item.sold","item.sold"]}`,
		"a body that is too long": `{"url":"https://a.example/",` + good + `` + strings.Repeat(" ", 8<<10) + `}`,
		"a url that is too long":  `{"url":"https://a.example/` + strings.Repeat("a", 2048) + `",` + good + `}`,
		"plain http":              `{"url":"http://a.example/",` + good + `}`,
		"another scheme":          `{"url":"file:///etc/passwd",` + good + `}`,
		"a private address":       `{"url":"https://10.0.0.1/",` + good + `}`,
		"a metadata service":      `{"url":"https://169.254.169.254/",` + good + `}`,
		"an address as a number":  `{"url":"https://2130706433/",` + good + `}`,
		"a user name":             `{"url":"https://a@b.example/",` + good + `}`,
		"an empty url":            `{"url":"",` + good + `}`,
	} {
		status, answer := f.ask("pay", http.MethodPost, "", body)
		if status != http.StatusBadRequest || answer["error"] != "invalid_request" || answer["error_description"] == "" {
			t.Errorf("%s: got %d %v", name, status, answer)
		}
		// Changing one refuses the same, but for what is left as it is.
		if name == "no url" || name == "no types" {
			continue
		}
		if status, answer := f.ask("pay", http.MethodPatch, h.id, body); status != http.StatusBadRequest {
			t.Errorf("changing, %s: got %d %v", name, status, answer)
		}
	}
	if state, _ := f.state("pay", h.id); state != event.Active {
		t.Errorf("got %s", state)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.api, strings.NewReader(`{"url":"https://a.example/",`+good+`}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/plain")
	request.Header.Set("Authorization", "Bearer "+f.issuer.AccessToken(f.issuer.ServiceClaims("pay.backend", marketAudience, "events")))
	response, err := f.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("text/plain: got %d", response.StatusCode)
	}
}

// Asked for all at once, too.
func TestASubsystemHasTenSubscriptions(t *testing.T) {
	t.Parallel()
	exerciseLimit(t, setupPublisher(t))
}

func exerciseLimit(t *testing.T, f *publishing) {
	t.Helper()
	var made, refused atomic.Int32
	var asking sync.WaitGroup
	for n := range 25 {
		asking.Go(func() {
			status, answer := f.ask("pay", http.MethodPost, "", fmt.Sprintf(`{"url":"https://pay.example/%d","types":["item.sold"]}`, n))
			switch {
			case status == http.StatusCreated:
				made.Add(1)
			case status == http.StatusConflict && answer["error"] == "too_many_subscriptions":
				refused.Add(1)
			default:
				t.Errorf("got %d %v", status, answer)
			}
		})
	}
	asking.Wait()
	if made.Load() != 10 || refused.Load() != 15 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
	if all, err := f.outbox.Subscriptions(t.Context()); err != nil || len(all) != 10 || all[0].Client != "pay.backend" {
		t.Errorf("%d are there, %v", len(all), err)
	}
	f.register("crypto", "https://crypto.example/")
}

// S5: an address that is closed, away, silent or wrong gets one answer.
func TestVerificationsThatFailLookTheSame(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	gone.Close()
	answers := func(handle http.HandlerFunc) string { return serveTLS(t, handle) }
	var first string
	for name, url := range map[string]string{
		"a name of nobody":   "https://receiver.invalid/",
		"connection refused": gone.URL,
		"an empty answer":    answers(status(http.StatusOK)),
		"another status":     answers(status(http.StatusNotFound)),
		"a redirect":         answers(status(http.StatusFound, "Location", "/elsewhere")),
		"another challenge":  answers(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"challenge":"mine"}`) }),
		"no JSON":            answers(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `challenge`) }),
		"hangs up":           answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"endless": answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, 128<<10))
		}),
	} {
		id, _ := f.register("subsystem-"+strings.ReplaceAll(name, " ", "-"), url)
		status, answer := f.ask("subsystem-"+strings.ReplaceAll(name, " ", "-"), http.MethodPost, id+"/verify", "")
		text := fmt.Sprint(status, answer)
		if first == "" {
			first = text
		}
		if status != http.StatusUnprocessableEntity || answer["error"] != "verification_failed" || text != first {
			t.Errorf("%s: got %s", name, text)
		}
	}
}

// The challenge is signed, and one address is not asked all the time.
func TestTheChallenge(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	var asked []hookCall
	var secret string
	url := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Type, Challenge string }
		text := readText(t, r)
		if err := json.Unmarshal([]byte(text), &body); err != nil || body.Type != "verification" || len(body.Challenge) < 20 {
			t.Errorf("got %s, %v", text, err)
		}
		asked = append(asked, hookCall{r.Header.Clone(), text})
		if err := event.VerifySignature([]string{secret}, r.Header, []byte(text), f.issuer.Clock.Now()); err != nil {
			t.Error(err)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("a challenge came with a token")
		}
		fmt.Fprintf(w, `{"challenge":%q}`, body.Challenge)
	}))
	id, made := f.register("pay", url)
	secret = made
	verify := func() int {
		status, _ := f.ask("pay", http.MethodPost, id+"/verify", "")
		return status
	}
	if status := verify(); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	if status := verify(); status != http.StatusTooManyRequests {
		t.Errorf("at once: got %d", status)
	}
	f.issuer.Clock.Advance(10 * time.Second)
	if status := verify(); status != http.StatusOK || len(asked) != 2 {
		t.Errorf("later: got %d, asked %d times", status, len(asked))
	}
	if asked[0].body == asked[1].body || asked[0].header.Get("Webhook-Id") == asked[1].header.Get("Webhook-Id") {
		t.Error("the same challenge twice")
	}
}

// The handler works below whatever it is mounted at.
func TestSubscriptionsAreMountedAnywhere(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	guard, err := rs.New(t.Context(), rs.Config{Issuer: f.issuer.URL, Audience: marketAudience, HTTPClient: f.client, Now: f.issuer.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	handler := f.publisher.Subscriptions(guard, "events")
	mux := http.NewServeMux()
	mux.Handle("/v1/hooks/", handler)
	mux.Handle("GET api.example/only/", handler)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", handler))
	outer := http.NewServeMux()
	outer.Handle("/", mux)
	token := f.issuer.AccessToken(f.issuer.ServiceClaims("pay.backend", marketAudience, "events"))
	for target, want := range map[string]int{
		"/v1/hooks/": 200, "/v1/hooks/evs_a": 404, "http://api.example/only/": 200, "/stripped/": 200, "/stripped/evs_a": 404,
	} {
		request := httptest.NewRequest(http.MethodGet, target, http.NoBody)
		request.Header.Set("Authorization", "Bearer "+token)
		recorder := httptest.NewRecorder()
		outer.ServeHTTP(recorder, request)
		if recorder.Code != want || want == 404 && !strings.Contains(recorder.Body.String(), "There is no such subscription") {
			t.Errorf("%s: got %d %s", target, recorder.Code, recorder.Body)
		}
	}
}
