package courier

import (
	"net/http"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// The paths of the endpoints under the issuer.
const (
	PathEvents        = "/events"
	PathStreams       = "/ssf/streams"
	PathStatus        = "/ssf/status"
	PathAddSubject    = "/ssf/subjects/add"
	PathRemoveSubject = "/ssf/subjects/remove"
	PathVerify        = "/ssf/verify"
	PathPoll          = "/ssf/poll/" // and the stream's id
)

// doors is what the endpoints keep beside the configuration.
type doors struct {
	metadata   web.Document
	rates      web.Rates // of publishing and of changing subjects, by client id
	publishing groupCommit
	waiting    waitingRoom
	pollWait   time.Duration // how long a poll waits for something to come
}

// openDoors makes the endpoints ready.
func (c *Courier) openDoors() {
	c.doors.metadata = newMetadata(c.Mint.Issuer)
	c.doors.pollWait = maxWait
	c.doors.publishing.write = c.writePublications
	c.DB.Watch(outbox.Topic, c.wakePolls)
}

// call is a request to one of the endpoints, of a client that may make it.
type call struct {
	*http.Request
	w      http.ResponseWriter
	client *registry.Client
	group  *registry.Snapshot
}

// publisher checks that a publisher calls, with a token of its own that has the
// scope events:publish.
func (c *Courier) publisher(w http.ResponseWriter, r *http.Request) (call, error) {
	k, err := c.caller(w, r, oauth.ScopePublish)
	if err != nil {
		return call{}, err
	}
	if !k.group.MayPublish(k.client) {
		return call{}, oauth.Refuse(oauth.AccessDenied, "Only confidential clients of a subsystem that the group declares as a publisher hand in events.")
	}
	return k, nil
}

// receiver checks that a receiver calls, with a token of its own that has one of
// the scopes (CAEP Interoperability Profile 1.0 §2.7.2).
func (c *Courier) receiver(w http.ResponseWriter, r *http.Request, scopes ...string) (call, error) {
	k, err := c.caller(w, r, scopes...)
	if err != nil {
		return call{}, err
	}
	if !k.group.MayReceive(k.client) {
		return call{}, oauth.Refuse(oauth.AccessDenied, "Only confidential clients of a subsystem that the group declares as a receiver have a stream of events.")
	}
	return k, nil
}

// caller checks the bearer token. The group is asked by the doors above, since
// it may have changed since the token was issued.
func (c *Courier) caller(w http.ResponseWriter, r *http.Request, scopes ...string) (call, error) {
	sent, err := web.AccessToken(r)
	if err != nil {
		return call{}, err
	}
	checked, err := c.Mint.CheckSent(w, r, sent)
	if err != nil {
		return call{}, err
	}
	web.Event(r.Context()).Set("client", checked.Claims().ClientID)
	client, err := c.Mint.ServiceCaller(checked, scopes...)
	if err != nil {
		web.ChallengeScope(w, r, err, scopes[0])
		return call{}, err
	}
	return call{Request: r, w: w, client: client, group: c.Registry.Current()}, nil
}

// record fills in what every record of a call has.
func (c *Courier) record(k call, record audit.Record) audit.Record {
	record.At, record.Client, record.Request = c.Now(), k.client.ID, web.Event(k.Context()).ID
	record.Source = web.ClientIP(k.Request, c.TrustProxy).String()
	return record
}

// noContent answers with nothing but a status.
func noContent(w http.ResponseWriter, status int) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}
