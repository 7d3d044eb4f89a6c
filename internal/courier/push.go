package courier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

const drainAtMost = 4 << 10

// verdict is what an answer means.
type verdict int

const (
	delivered verdict = iota
	rejected          // for good: the message is dead
	failed            // again on the fast schedule
	unwelcome         // again on the slow schedule
	throttled         // again when it says
)

// answer is what came of one try.
type answer struct {
	verdict verdict
	fault   string        // for the operator: short, without secrets
	wait    time.Duration // of throttled
	silent  bool          // nobody answered
}

// place is where a message goes: a stream's endpoint, or a client's address for
// logout tokens.
type place struct {
	id     string           // of the stream
	stream *Stream          // nil for logout tokens
	client *registry.Client // whose it is
}

// send tries one delivery once.
func (c *Courier) send(ctx context.Context, to place, d *outbox.Delivery) answer {
	now := c.Now()
	m, err := c.open(d)
	if err != nil {
		return answer{verdict: rejected, fault: "the message cannot be opened with the keys of this installation"}
	}
	var request *http.Request
	switch {
	case to.stream == nil && now.Sub(d.CreatedAt) > logoutLife:
		return answer{verdict: rejected, fault: "too late to be of use" + because(d.Fault)}
	case to.stream == nil:
		request, err = c.logoutRequest(ctx, to.client, d, m)
	case !mayHave(c.Registry.Current(), to.client.Subsystem, d.Type):
		return answer{verdict: rejected, fault: "the group does not declare this receiver of the type any more"}
	case to.stream.Method == oauth.DeliveryIDToken:
		request, err = c.idTokenRequest(ctx, to, d, m)
	default:
		request, err = c.setRequest(ctx, to, d, m)
	}
	if err != nil {
		c.Logger.Error("could not make the request of an event", "stream", to.id, "delivery", d.ID, "cause", err)
		return answer{verdict: failed, fault: "the request could not be made; see the log"}
	}
	receiver := to.client.Subsystem.Name
	delivery := c.Tracer.Delivery(request, receiver, d.Type)
	response, err := c.client(receiver).Do(delivery.Request)
	if err != nil {
		delivery.Answered(0)
		return answer{verdict: failed, fault: "no answer: " + outgoing.Detail(err), silent: true}
	}
	delivery.Answered(response.StatusCode)
	return judge(response, now)
}

// setRequest pushes a security event token (RFC 8935 §2.1).
func (c *Courier) setRequest(ctx context.Context, to place, d *outbox.Delivery, m *message) (*http.Request, error) {
	token, err := c.makeSET(to.client, d, m)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.stream.Endpoint, strings.NewReader(token))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/secevent+jwt")
	request.Header.Set("Accept", "application/json")
	if to.stream.Credential == nil {
		return request, nil
	}
	header, err := c.openCredential(to.stream.ID, to.stream.Credential)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", header)
	return request, nil
}

// idTokenRequest pushes a body and the ID token that proves it. What a SET says
// beside its payload stands in the body.
func (c *Courier) idTokenRequest(ctx context.Context, to place, d *outbox.Delivery, m *message) (*http.Request, error) {
	body, subject, publisher := []byte(m.Payload), m.Subject, m.Publisher
	if m.Session != "" {
		body = withMember(body, "sid", m.Session)
	}
	if m.Stream != "" {
		subject = m.Stream
	}
	if publisher == "" {
		publisher = registry.Platform
	}
	sum := sha256.Sum256(body)
	issued, err := c.Mint.EventToken(mint.EventToken{
		Publisher: publisher, Receiver: to.client.Subsystem, Subject: subject, ID: d.ID, Type: d.Type,
		BodySHA256: base64.RawURLEncoding.EncodeToString(sum[:]), HappenedAt: m.HappenedAt,
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.stream.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+issued.Token)
	return request, nil
}

// judge reads an answer (checks E2). What a receiver says beside the status is
// nothing to us, but for the reason of a refusal. Little is read, so that the
// connection can be used again; what is long is left.
func judge(response *http.Response, now time.Time) answer {
	status := response.StatusCode
	wait, told := retryAfter(response.Header.Get("Retry-After"), now)
	if status == http.StatusBadRequest {
		return answer{verdict: rejected, fault: "answered 400" + because(reasonOf(response))}
	}
	if n := response.ContentLength; n > 0 && n <= drainAtMost {
		_, _ = io.CopyN(io.Discard, response.Body, n) // whatever comes of it, the status has been told
	}
	_ = response.Body.Close()
	fault := fmt.Sprintf("answered %d", status)
	switch {
	case status == http.StatusOK, status == http.StatusAccepted, status == http.StatusNoContent:
		return answer{verdict: delivered}
	case told && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable):
		return answer{verdict: throttled, fault: fault, wait: wait}
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusGone:
		return answer{verdict: unwelcome, fault: fault}
	}
	return answer{verdict: failed, fault: fault}
}

// reasonOf is why a receiver refuses a message (RFC 8935 §2.3).
func reasonOf(response *http.Response) string {
	body, err := outgoing.ReadBody(response)
	if err != nil {
		return ""
	}
	var refusal struct {
		Err         string `json:"err"`
		Error       string `json:"error"` // of a logout token: Back-Channel Logout §2.8
		Description string `json:"description"`
	}
	if json.Unmarshal(body, &refusal) != nil {
		return ""
	}
	reason := refusal.Err
	if reason == "" {
		reason = refusal.Error
	}
	if refusal.Description != "" {
		reason += ": " + refusal.Description
	}
	return reason
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ", " + reason
}

// withMember adds a member to a JSON object in its shortest form.
func withMember(object []byte, name string, value any) []byte {
	text, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		panic("courier: a member cannot be written as JSON: " + err.Error()) // a type error, never a value
	}
	added := append([]byte{}, object[:len(object)-1]...)
	if len(added) > 1 {
		added = append(added, ',')
	}
	return append(added, text[1:]...)
}
