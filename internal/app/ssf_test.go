package app_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// What the plan openid-ssf-transmitter-test-plan asks of a transmitter, with
// tokens by client credentials; the names of its modules stand at the tests.

// TestTransmitterMetadata (module transmitter-metadata).
func TestTransmitterMetadata(t *testing.T) {
	t.Parallel()
	w := setup(t)
	a := w.browser().get("/.well-known/ssf-configuration")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	told := decode[members](t, a.body)
	for name, want := range map[string]string{
		"spec_version": "1_0", "issuer": issuer, "jwks_uri": issuer + "/oauth2/jwks", "default_subjects": "ALL",
		"configuration_endpoint": issuer + "/ssf/streams", "status_endpoint": issuer + "/ssf/status",
		"add_subject_endpoint": issuer + "/ssf/subjects/add", "remove_subject_endpoint": issuer + "/ssf/subjects/remove",
		"verification_endpoint": issuer + "/ssf/verify",
	} {
		if told[name] != want {
			t.Errorf("%s is %v", name, told[name])
		}
	}
	if got := texts(told["delivery_methods_supported"]); !slices.Equal(got, []string{oauth.DeliveryPush, oauth.DeliveryPoll, oauth.DeliveryIDToken}) {
		t.Errorf("delivery methods %v", got)
	}
	schemes, _ := told["authorization_schemes"].([]any)
	if len(schemes) != 1 || schemes[0].(members)["spec_urn"] != "urn:ietf:rfc:6749" {
		t.Errorf("authorization schemes %v", told["authorization_schemes"])
	}
	for name, value := range told {
		if list, ok := value.([]any); ok && len(list) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
}

// TestStreamControl (module stream-control-happy-path).
func TestStreamControl(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	supported := []string{
		gone, sold, oauth.EventAccountDisabled, oauth.EventAccountEnabled, oauth.EventAccountPurged, oauth.EventCredentialChange, oauth.EventSessionRevoked,
	}
	slices.Sort(supported)
	made := crypto.want(http.StatusCreated, http.MethodPost, "/ssf/streams", members{
		"delivery":         members{"method": oauth.DeliveryPush, "endpoint_url": "https://crypto.test/events", "authorization_header": "Bearer let-me-in"},
		"events_requested": []string{sold, "urn:example:unknown"}, "description": "first",
	})
	id, _ := made["stream_id"].(string)
	check := func(what string, got members, delivered []string, endpoint, description string) {
		t.Helper()
		if got["stream_id"] != id || got["iss"] != issuer || got["aud"] != "crypto" || got["min_verification_interval"] != 30.0 {
			t.Errorf("%s: %v", what, got)
		}
		if !slices.Equal(texts(got["events_supported"]), supported) || !slices.Equal(texts(got["events_delivered"]), delivered) {
			t.Errorf("%s: events %v", what, got)
		}
		delivery := got["delivery"].(members)
		if delivery["endpoint_url"] != endpoint || len(delivery) != 2 || got["description"] != description && description != "" {
			t.Errorf("%s: %v", what, got)
		}
	}
	check("created", made, []string{sold}, "https://crypto.test/events", "first")
	check("read", crypto.stream(id), []string{sold}, "https://crypto.test/events", "first")
	list := decode[[]members](t, crypto.send(http.MethodGet, "/ssf/streams", nil).body)
	if len(list) != 1 {
		t.Fatalf("%d streams", len(list))
	}
	check("listed", list[0], []string{sold}, "https://crypto.test/events", "first")
	check("updated", crypto.want(http.StatusOK, http.MethodPatch, "/ssf/streams", members{
		"stream_id": id, "events_requested": []string{oauth.EventSessionRevoked}, "iss": issuer, "aud": []string{"crypto"}, "events_delivered": []string{sold},
	}), []string{oauth.EventSessionRevoked}, "https://crypto.test/events", "first")
	replaced := crypto.want(http.StatusOK, http.MethodPut, "/ssf/streams", members{
		"stream_id": id, "delivery": members{"method": oauth.DeliveryPoll},
	})
	check("replaced", replaced, supported, issuer+"/ssf/poll/"+id, "")
	if replaced["description"] != nil || replaced["events_requested"] != nil {
		t.Errorf("what was left out is still there: %v", replaced)
	}
	// What was read can be sent back.
	check("read and replaced", crypto.want(http.StatusOK, http.MethodPut, "/ssf/streams", crypto.stream(id)), supported, issuer+"/ssf/poll/"+id, "")

	// Nothing asked for is not the same as nothing said.
	none := crypto.want(http.StatusOK, http.MethodPatch, "/ssf/streams", members{"stream_id": id, "events_requested": []string{}})
	if list, ok := none["events_requested"].([]any); !ok || len(list) != 0 {
		t.Errorf("events_requested %v", none["events_requested"])
	}
	check("asked for nothing", crypto.want(http.StatusOK, http.MethodPut, "/ssf/streams", none), nil, issuer+"/ssf/poll/"+id, "")

	for _, status := range []string{"paused", "disabled", "enabled"} {
		form := members{"stream_id": id, "status": status, "reason": "because " + status}
		set := crypto.want(http.StatusOK, http.MethodPost, "/ssf/status", form)
		for _, got := range []members{set, crypto.want(http.StatusOK, http.MethodGet, "/ssf/status?stream_id="+id, nil)} {
			if got["stream_id"] != id || got["status"] != status || got["reason"] != form["reason"] {
				t.Errorf("status %v, want %v", got, form)
			}
		}
	}
	crypto.want(http.StatusNoContent, http.MethodDelete, "/ssf/streams?stream_id="+id, nil)
	crypto.refused("deleted", http.StatusNotFound, oauth.InvalidRequest, http.MethodGet, "/ssf/streams?stream_id="+id, nil)
	if a := crypto.send(http.MethodGet, "/ssf/streams", nil); a.status != http.StatusOK || a.body != "[]" {
		t.Errorf("no stream: %d %s", a.status, a.body)
	}
	if again := crypto.makeStream(pollDelivery); again == id {
		t.Error("the id of a deleted stream is used again")
	}
}

// TestStreamRequestsThatAreRefused (modules create, read, update, replace and
// delete with invalid token, broken body, duplicate and unknown stream).
func TestStreamRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(members{})
	if got := crypto.stream(id)["delivery"].(members)["method"]; got != oauth.DeliveryPoll {
		t.Errorf("without delivery the method is %v", got)
	}
	crypto.refused("a second stream", http.StatusConflict, oauth.InvalidRequest, http.MethodPost, "/ssf/streams", pollDelivery)

	nobody, expired := w.receiver("crypto.worker"), w.receiver("crypto.worker")
	nobody.token = "invalid"
	w.clock.Advance(time.Hour)
	crypto = w.receiver("crypto.worker")
	bodies := map[string]any{
		http.MethodPost: pollDelivery, http.MethodPatch: members{"stream_id": id}, http.MethodPut: members{"stream_id": id, "delivery": pollDelivery["delivery"]},
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete} {
		path, unknown := "/ssf/streams", "/ssf/streams"
		if bodies[method] == nil {
			path, unknown = path+"?stream_id="+id, path+"?stream_id=unknown"
		}
		for _, other := range []*peer{nobody, expired} {
			other.refused(method+" with an invalid token", http.StatusUnauthorized, oauth.InvalidToken, method, path, bodies[method])
		}
		if a := (&peer{w: w, media: "application/json"}).send(method, path, bodies[method]); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s without a token: %d %v", method, a.status, a.header)
		}
		if method == http.MethodPost {
			continue
		}
		body := any(nil)
		if bodies[method] != nil {
			body = members{"stream_id": "unknown", "delivery": pollDelivery["delivery"]}
		}
		crypto.refused(method+" of an unknown stream", http.StatusNotFound, oauth.InvalidRequest, method, unknown, body)
	}
	broken := map[string]any{
		"no JSON": "{", "a list": "[]", "nothing": "", "two objects": "{}{}", "null": "null", "a wrong type": members{"stream_id": id, "delivery": 1},
		"a member twice": `{"stream_id":"` + id + `","delivery":{"method":"urn:ietf:rfc:8936","method":"urn:ietf:rfc:8935"}}`, "nested deep": strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20),
		"an unknown method": members{"stream_id": id, "delivery": members{"method": "urn:ietf:rfc:1"}},
		"no endpoint":       members{"stream_id": id, "delivery": members{"method": oauth.DeliveryPush}},
		"a poll endpoint":   members{"stream_id": id, "delivery": members{"method": oauth.DeliveryPoll, "endpoint_url": "https://crypto.test/poll"}},
		"a header for poll": members{"stream_id": id, "delivery": members{"method": oauth.DeliveryPoll, "authorization_header": "x"}},
		"a split header":    members{"stream_id": id, "delivery": members{"method": oauth.DeliveryPush, "endpoint_url": "https://crypto.test/", "authorization_header": "a\r\nb: c"}},
		"another issuer":    members{"stream_id": id, "iss": "https://other.test", "delivery": pollDelivery["delivery"]},
		"another audience":  members{"stream_id": id, "aud": "pay", "delivery": pollDelivery["delivery"]},
		"other events":      members{"stream_id": id, "events_supported": []string{sold}, "delivery": pollDelivery["delivery"]},
		"other deliveries":  members{"stream_id": id, "events_delivered": []string{sold}, "delivery": pollDelivery["delivery"]},
		"another interval":  members{"stream_id": id, "min_verification_interval": 1, "delivery": pollDelivery["delivery"]},
		"a long text":       members{"stream_id": id, "description": strings.Repeat("x", 300), "delivery": pollDelivery["delivery"]},
		"NUL":               members{"stream_id": id, "description": "a\x00b", "delivery": pollDelivery["delivery"]},
	}
	fresh := w.receiver("pay.backend")
	for name, body := range broken {
		for _, method := range []string{http.MethodPatch, http.MethodPut} {
			crypto.refused(method+": "+name, http.StatusBadRequest, oauth.InvalidRequest, method, "/ssf/streams", body)
		}
		fresh.refused("POST: "+name, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/ssf/streams", body)
	}
	crypto.refused("no stream_id", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPatch, "/ssf/streams", members{})
	crypto.refused("PUT without delivery", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPut, "/ssf/streams", members{"stream_id": id})
	crypto.refused("DELETE of nothing", http.StatusBadRequest, oauth.InvalidRequest, http.MethodDelete, "/ssf/streams", nil)
	crypto.refused("stream_id twice", http.StatusBadRequest, oauth.InvalidRequest, http.MethodGet, "/ssf/streams?stream_id="+id+"&stream_id=x", nil)
	crypto.refused("OPTIONS", http.StatusMethodNotAllowed, oauth.InvalidRequest, http.MethodOptions, "/ssf/streams", nil)
	crypto.media = "text/plain"
	crypto.refused("text", http.StatusUnsupportedMediaType, oauth.InvalidRequest, http.MethodPatch, "/ssf/streams", members{"stream_id": id})
}

// TestEndpointsOfStreamsAreChecked (check S1, at registration).
func TestEndpointsOfStreamsAreChecked(t *testing.T) {
	t.Parallel()
	crypto := setup(t).receiver("crypto.worker")
	for _, endpoint := range []string{
		"http://crypto.test/events", "https://localhost/", "https://127.0.0.1/", "https://[::1]/", "https://0.0.0.0/", "https://[::ffff:127.0.0.1]/",
		"https://169.254.169.254/latest", "https://[fd00::1]/", "https://10.1.2.3/", "https://100.64.0.1/", "https://[64:ff9b::7f00:1]/", "https://2130706433/",
		"https://0x7f.1/", "https://0177.0.0.1/", "https://crypto.test./", "https://user@crypto.test/", "https://crypto.test:8443/", "https://crypto.test/#a",
		"file:///etc/passwd", "gopher://crypto.test/", "unix:///run/x", "//crypto.test/", "/events", "",
	} {
		for _, method := range []string{oauth.DeliveryPush, oauth.DeliveryIDToken} {
			crypto.refused(endpoint, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/ssf/streams",
				members{"delivery": members{"method": method, "endpoint_url": endpoint}})
		}
	}
	crypto.makeStream(members{"delivery": members{"method": oauth.DeliveryIDToken, "endpoint_url": "https://crypto.test/events?of=sekisho"}})
}

// TestWhoMayUseStreams: receivers of the group of today, by a token of their own
// for this server with the scope that the request needs.
func TestWhoMayUseStreams(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.receiver("crypto.worker").makeStream(pollDelivery)
	reader := w.peer("crypto.worker", oauth.ScopeStreamRead)
	reader.stream(id)
	reader.want(http.StatusOK, http.MethodGet, "/ssf/status?stream_id="+id, nil)
	w.peer("crypto.worker", oauth.ScopeStreamManage).stream(id)
	about := members{"stream_id": id, "subject": members{"format": "iss_sub", "iss": issuer, "sub": "x"}, "status": "enabled"}
	for path, methods := range map[string][]string{
		"/ssf/streams": {http.MethodPost, http.MethodPatch, http.MethodPut}, "/ssf/streams?stream_id=" + id: {http.MethodDelete}, "/ssf/status": {http.MethodPost},
		"/ssf/subjects/add": {http.MethodPost}, "/ssf/subjects/remove": {http.MethodPost}, "/ssf/verify": {http.MethodPost}, "/ssf/poll/" + id: {http.MethodPost},
	} {
		for _, method := range methods {
			a := reader.refused("without ssf.manage: "+path, http.StatusForbidden, oauth.InsufficientScope, method, path, about)
			if !strings.Contains(a.header.Get("WWW-Authenticate"), `scope="ssf.manage"`) {
				t.Errorf("%s: %q", path, a.header.Get("WWW-Authenticate"))
			}
			w.peer("vault.backend", oauth.ScopeStreamManage).refused("no receiver: "+path, http.StatusForbidden, oauth.AccessDenied, method, path, about)
			w.peer("crypto.worker", oauth.ScopeConvert).refused("another scope: "+path, http.StatusForbidden, oauth.InsufficientScope, method, path, about)
		}
	}
	foreign := w.receiver("crypto.worker")
	foreign.token = w.serviceTokenFor("crypto.worker", market, oauth.ScopeStreamManage)
	foreign.refused("a token for another", http.StatusUnauthorized, oauth.InvalidToken, http.MethodGet, "/ssf/streams", nil)
}

// TestStreamsOfOthersAreNotThere (check E5).
func TestStreamsOfOthersAreNotThere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto, other := w.receiver("crypto.worker"), w.receiver("pay.backend")
	id := crypto.makeStream(pollDelivery)
	other.makeStream(pollDelivery)
	before := crypto.stream(id)
	subject := members{"format": "iss_sub", "iss": issuer, "sub": w.sub("pay", w.person.Ref)}
	var answers []string
	for _, stream := range []string{id, "unknown"} {
		for path, c := range map[string]struct {
			method string
			body   any
		}{
			"/ssf/streams?stream_id=" + stream: {http.MethodGet, nil}, "/ssf/status?stream_id=" + stream: {http.MethodGet, nil},
			"/ssf/subjects/add":    {http.MethodPost, members{"stream_id": stream, "subject": subject}},
			"/ssf/subjects/remove": {http.MethodPost, members{"stream_id": stream, "subject": subject}},
			"/ssf/verify":          {http.MethodPost, members{"stream_id": stream, "state": "x"}},
			"/ssf/status":          {http.MethodPost, members{"stream_id": stream, "status": "disabled"}},
			"/ssf/poll/" + stream:  {http.MethodPost, members{"returnImmediately": true}},
		} {
			answers = append(answers, other.refused(path, http.StatusNotFound, oauth.InvalidRequest, c.method, path, c.body).body)
		}
		answers = append(answers,
			other.refused("DELETE", http.StatusNotFound, oauth.InvalidRequest, http.MethodDelete, "/ssf/streams?stream_id="+stream, nil).body,
			other.refused("PATCH", http.StatusNotFound, oauth.InvalidRequest, http.MethodPatch, "/ssf/streams", members{"stream_id": stream, "description": "mine"}).body,
			other.refused("PUT", http.StatusNotFound, oauth.InvalidRequest, http.MethodPut, "/ssf/streams", members{"stream_id": stream, "delivery": pollDelivery["delivery"]}).body)
	}
	if slices.Sort(answers); len(slices.Compact(answers)) != 1 {
		t.Errorf("the answers differ: %q", answers)
	}
	if after := crypto.stream(id); len(after) != len(before) || after["description"] != nil {
		t.Errorf("the stream has changed: %v", after)
	}
	if got := crypto.want(http.StatusOK, http.MethodGet, "/ssf/status?stream_id="+id, nil)["status"]; got != "enabled" {
		t.Errorf("status %v", got)
	}
}
