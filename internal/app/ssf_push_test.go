package app_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/oauth"
)

// mailbox is where a receiver has its events pushed: a web server that keeps what
// comes and answers as it is told.
type mailbox struct {
	*httptest.Server

	mu     sync.Mutex
	got    []pushed
	status int
}

// pushed is a request to a mailbox.
type pushed struct {
	header http.Header
	body   string
}

func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, pushed{r.Header.Clone(), string(body)})
	w.WriteHeader(m.status)
}

// take gives what has come since it was asked last.
func (m *mailbox) take() []pushed {
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.got
	m.got = nil
	return got
}

// pushing is a server that pushes to a mailbox in its own network.
func pushing(t *testing.T) (*world, *mailbox) {
	t.Helper()
	box := &mailbox{status: http.StatusAccepted}
	box.Server = httptest.NewTLSServer(box)
	t.Cleanup(box.Close)
	roots := x509.NewCertPool()
	roots.AddCert(box.Certificate())
	first := setup(t)
	return startWith(t, &world{t: t, path: first.path, clock: first.clock, log: &logBuffer{}, adjust: func(c *app.Config) {
		c.EventNetworks, c.EventRoots = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, roots
	}}), box
}

func (m *mailbox) delivery(more ...string) members {
	delivery := members{"method": oauth.DeliveryPush, "endpoint_url": m.URL + "/events"}
	if len(more) > 0 {
		delivery["authorization_header"] = more[0]
	}
	return members{"delivery": delivery}
}

// TestVerificationByPush (modules stream-verification-push and
// stream-verification-error-push-no-auth; RFC 8935 §2.1).
func TestVerificationByPush(t *testing.T) {
	t.Parallel()
	w, box := pushing(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(box.delivery("Bearer let-me-in"))
	verify := func(form members) pushed {
		t.Helper()
		w.clock.Advance(30 * time.Second)
		crypto = w.receiver("crypto.worker")
		form["stream_id"] = id
		crypto.want(http.StatusNoContent, http.MethodPost, "/ssf/verify", form)
		w.app.Courier.Tick(t.Context())
		got := box.take()
		if len(got) != 1 {
			t.Fatalf("%d came", len(got))
		}
		if got[0].header.Get("Content-Type") != "application/secevent+jwt" || got[0].header.Get("Accept") != "application/json" {
			t.Errorf("pushed with %v", got[0].header)
		}
		return got[0]
	}
	state := func(set string) any {
		t.Helper()
		claims := w.checkSET(set, decode[members](t, segment(t, set, 1))["jti"].(string))
		if subject := claims["sub_id"].(members); subject["format"] != "opaque" || subject["id"] != id || claims["aud"] != "crypto" {
			t.Errorf("claims %v", claims)
		}
		return claims["events"].(members)[oauth.EventVerification].(members)["state"]
	}
	got := verify(members{"state": "one"})
	if got.header.Get("Authorization") != "Bearer let-me-in" || state(got.body) != "one" {
		t.Errorf("pushed with %v: %s", got.header, got.body)
	}
	// The header is told to nobody again, and goes with the address it was given for.
	if delivery := crypto.stream(id)["delivery"].(members); len(delivery) != 2 {
		t.Errorf("delivery %v", delivery)
	}
	crypto.want(http.StatusOK, http.MethodPatch, "/ssf/streams", members{"stream_id": id, "delivery": box.delivery()["delivery"]})
	got = verify(members{})
	if _, there := got.header["Authorization"]; there || state(got.body) != nil {
		t.Errorf("pushed with %v: %s", got.header, got.body)
	}
	w.app.Courier.Tick(t.Context())
	if again := box.take(); len(again) != 0 {
		t.Errorf("what was taken came again: %v", again)
	}
	for place, content := range w.dump() {
		if string(content) == "Bearer let-me-in" {
			t.Errorf("%s holds the header", place)
		}
	}
}

// TestPausedPush (check E7): a paused stream pushes nothing, and all of it later.
func TestPausedPush(t *testing.T) {
	t.Parallel()
	w, box := pushing(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(box.delivery())
	set := func(status string) {
		t.Helper()
		crypto.want(http.StatusOK, http.MethodPost, "/ssf/status", members{"stream_id": id, "status": status})
	}
	set("paused")
	w.publishN(3, "sale-")
	w.app.Courier.Tick(t.Context())
	if got := box.take(); len(got) != 0 {
		t.Errorf("a paused stream pushed %d", len(got))
	}
	set("enabled")
	w.app.Courier.Tick(t.Context())
	got := box.take()
	if len(got) != 3 {
		t.Fatalf("%d came", len(got))
	}
	for i, one := range got {
		if claims := decode[members](t, segment(t, one.body, 1)); claims["jti"] != w.app.Mint.EventID("market", "crypto", "sale-"+string(rune('0'+i))) {
			t.Errorf("number %d is %v", i, claims["jti"])
		}
	}
	set("disabled")
	w.publishN(1, "dropped-")
	set("enabled")
	w.app.Courier.Tick(t.Context())
	if got := box.take(); len(got) != 0 {
		t.Errorf("a disabled stream pushed %d", len(got))
	}
}

// TestCAEPEvents (module stream-caep-interop; CAEP 1.0 §2, §3; checks E1 and
// E12): what happens to a person is told to receivers, in their terms.
func TestCAEPEvents(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	w.signedIn()
	err := w.app.People.ChangePassword(t.Context(), account.PasswordChange{AccountID: w.person.ID, Old: password, New: "seven brass kettles humming"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.app.DisableAccount(t.Context(), w.person.ID, "test"); err != nil {
		t.Fatal(err)
	}
	w.app.Courier.Tick(t.Context())
	got := crypto.sets(id)
	for kind, more := range map[string][]string{
		oauth.EventSessionRevoked: {"reason_admin"}, oauth.EventAccountDisabled: nil, oauth.EventCredentialChange: {"credential_type", "change_type", "reason_admin"},
	} {
		if len(got[kind]) == 0 {
			t.Errorf("%s did not come", kind)
		}
		for _, claims := range got[kind] {
			wantCAEP(t, w, claims, kind, more)
		}
	}
}

// wantCAEP holds an event to what the profile asks of its payload and subject.
func wantCAEP(t *testing.T, w *world, claims members, kind string, more []string) {
	t.Helper()
	payload := claims["events"].(members)[kind].(members)
	if at, ok := payload["event_timestamp"].(float64); !ok || int64(at) != w.clock.Now().Unix() {
		t.Errorf("%s: event_timestamp %v", kind, payload["event_timestamp"])
	}
	switch payload["initiating_entity"] {
	case "admin", "user", "policy", "system":
	default:
		t.Errorf("%s: initiating_entity %v", kind, payload["initiating_entity"])
	}
	for _, name := range more {
		value := payload[name]
		if name == "reason_admin" {
			reason, _ := value.(members)
			value = reason["en"]
		}
		if text, ok := value.(string); !ok || text == "" {
			t.Errorf("%s: %s is %v", kind, name, payload[name])
		}
	}
	user := claims["sub_id"].(members)
	if user["format"] == oauth.FormatComplex {
		session := user["session"].(members)
		if session["format"] != oauth.FormatOpaque || session["id"] == "" {
			t.Errorf("%s: session %v", kind, session)
		}
		user = user["user"].(members)
	}
	if user["format"] != oauth.FormatIssuerSubject || user["iss"] != issuer || user["sub"] != w.sub("crypto", w.person.Ref) || claims["aud"] != "crypto" {
		t.Errorf("%s: %v", kind, claims)
	}
}
