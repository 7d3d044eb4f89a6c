package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// apply applies the fixture group, changed by the replacements.
func (w *world) apply(replace ...string) {
	w.t.Helper()
	dir := w.t.TempDir()
	path, err := writeGroup(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		w.t.Fatal(err)
	}
	changed := strings.NewReplacer(replace...).Replace(string(text))
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		w.t.Fatal(err)
	}
	group, err := app.ReadGroupFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.app.Registry.Apply(w.t.Context(), group, "test"); err != nil {
		w.t.Fatal(err)
	}
}

const declared = "types: [item.sold, item.gone], receivers: [pay, crypto, partner]"

// What waits in a stream is given only if the group of today still declares it
// for the receiver.
func TestWhatIsNotDeclaredAnyMoreIsNotGiven(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	w.publisher().want(http.StatusAccepted, http.MethodPost, "/events", w.event("sale-1"))
	w.publisher().want(http.StatusAccepted, http.MethodPost, "/events", w.event("sale-2", "type", gone))
	w.apply(declared, "types: [item.sold], receivers: [pay, crypto, partner]")
	if got := crypto.sets(id); len(got) != 1 || len(got[sold]) != 1 {
		t.Errorf("came %v", got)
	}
	for _, list := range []string{"events_supported", "events_delivered"} {
		if types := texts(crypto.stream(id)[list]); len(types) != 6 || strings.Contains(strings.Join(types, " "), gone) {
			t.Errorf("%s: %v", list, types)
		}
	}
	var dead []outbox.Delivery
	err := w.app.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		dead, err = outbox.ListDead(t.Context(), tx, id, 0, 10)
		return err
	})
	if err != nil || len(dead) != 1 || dead[0].Type != gone || !strings.Contains(dead[0].Fault, "does not declare") {
		t.Errorf("dead: %+v, %v", dead, err)
	}
	w.publisher().refused("undeclared", http.StatusForbidden, oauth.AccessDenied, http.MethodPost, "/events", w.event("sale-3", "type", gone))
}

// The group is asked at each request, whatever a token says.
func TestPublishersAndReceiversOfToday(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto, publisher := w.receiver("crypto.worker"), w.publisher()
	id := crypto.makeStream(pollDelivery)
	w.apply("  - { publisher: market, "+declared+" }\n", "", "receivers: [market, pay, crypto, partner]", "receivers: [market, pay]")
	publisher.refused("no publisher any more", http.StatusForbidden, oauth.AccessDenied, http.MethodPost, "/events", w.event("sale-1"))
	crypto.refused("no receiver any more", http.StatusForbidden, oauth.AccessDenied, http.MethodPost, "/ssf/poll/"+id, members{})
	crypto.refused("no receiver any more", http.StatusForbidden, oauth.AccessDenied, http.MethodGet, "/ssf/streams", nil)
	w.apply()
	crypto.stream(id)
}

// A client that is declared again under the id of one that was removed has none
// of its streams.
func TestStreamsEndWithTheirClient(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	w.publishN(1, "sale-")
	w.apply("worker: { secret_file: crypto.worker }", "other: { secret_file: crypto.worker }")
	crypto.refused("a token of a client that is gone", http.StatusUnauthorized, oauth.InvalidToken, http.MethodGet, "/ssf/streams", nil)
	w.apply()
	crypto = w.receiver("crypto.worker")
	if a := crypto.send(http.MethodGet, "/ssf/streams", nil); a.body != "[]" {
		t.Errorf("%d %s", a.status, a.body)
	}
	crypto.refused("the old stream", http.StatusNotFound, oauth.InvalidRequest, http.MethodPost, "/ssf/poll/"+id, members{})
}

// TestChangesOfStreamsAreRecorded (checks A4 and A10): each once, with who and
// what, and without the header of pushes, which stands nowhere.
func TestChangesOfStreamsAreRecorded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	const header = "Bearer the-header-of-a-mailbox"
	push := members{"method": oauth.DeliveryPush, "endpoint_url": "https://crypto.test/events?key=secret-in-the-query", "authorization_header": header}
	made := crypto.send(http.MethodPost, "/ssf/streams", members{"delivery": push})
	id := decode[members](t, made.body)["stream_id"].(string)
	subject := members{"stream_id": id, "subject": members{"format": "iss_sub", "iss": issuer, "sub": w.sub("crypto", w.person.Ref)}}
	bodies := []string{
		made.body, crypto.send(http.MethodGet, "/ssf/streams", nil).body,
		crypto.send(http.MethodPatch, "/ssf/streams", members{"stream_id": id, "delivery": push}).body,
		crypto.send(http.MethodPut, "/ssf/streams", members{"stream_id": id, "delivery": push}).body,
	}
	crypto.want(http.StatusOK, http.MethodPost, "/ssf/status", members{"stream_id": id, "status": "paused"})
	crypto.want(http.StatusOK, http.MethodPost, "/ssf/subjects/add", subject)
	crypto.want(http.StatusNoContent, http.MethodPost, "/ssf/subjects/remove", subject)
	for _, body := range []any{members{"stream_id": id, "delivery": members{}}, "{"} {
		crypto.refused("a change that is refused", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPatch, "/ssf/streams", body)
	}
	crypto.want(http.StatusNoContent, http.MethodDelete, "/ssf/streams?stream_id="+id, nil)
	for event, n := range map[audit.Event]int{audit.StreamCreated: 1, audit.StreamChanged: 5, audit.StreamDeleted: 1} {
		records := w.records(event)
		if len(records) != n {
			t.Errorf("%s: %d records, want %d", event, len(records), n)
		}
		for _, r := range records {
			if r.Client != "crypto.worker" || r.Outcome != audit.OK || r.Request == "" || r.Source == "" || r.Detail["stream"] != id || r.Detail["host"] != "crypto.test" ||
				strings.Contains(fmt.Sprint(r.Detail), "secret-in-the-query") {
				t.Errorf("%s: %+v", event, r)
			}
		}
	}
	places := w.dump()
	places["log"], places["answers"] = []byte(w.log.String()), []byte(strings.Join(bodies, "\n"))
	for place, content := range places {
		if bytes.Contains(content, []byte("the-header-of-a-mailbox")) {
			t.Errorf("%s holds the header of pushes", place)
		}
	}
	if strings.Contains(w.log.String(), "secret-in-the-query") {
		t.Error("the log holds the query of an endpoint")
	}
}
