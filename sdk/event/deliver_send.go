package event

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// target is one event on its way to one subscription.
type target struct {
	*delivery
	to *Subscription
}

// message is one event for one receiver: what is sent to each of its
// subscriptions.
type message struct {
	receiver string
	body     []byte
	targets  []target
	detail   oauth.EventDetail
}

// deliver sends one event to those who are to have it now: a body for each
// receiver, one request for the credentials of all, and then each at its own
// pace.
func (d *dispatcher) deliver(ctx context.Context, targets []target) {
	event := targets[0].delivery
	own, err := d.Mapping.Subject(ctx, d.Client.Subsystem(), event.member)
	if err != nil {
		d.reportAll(targets, d.personVerdict(ctx, err))
		return
	}
	for chunk := range slices.Chunk(d.messages(ctx, targets), eventsPerCall) {
		d.prove(ctx, own, chunk)
	}
}

// messages makes the bodies, with the people in them as each receiver knows
// them.
func (d *dispatcher) messages(ctx context.Context, targets []target) []*message {
	byReceiver := make(map[string]*message)
	var all []*message
	for _, one := range targets {
		m := byReceiver[one.to.Subsystem]
		if m == nil {
			m = &message{receiver: one.to.Subsystem}
			byReceiver[m.receiver] = m
			all = append(all, m)
		}
		m.targets = append(m.targets, one)
	}
	made := all[:0]
	for _, m := range all {
		if v := d.make(ctx, m); v != nil {
			d.reportAll(m.targets, *v)
			continue
		}
		made = append(made, m)
	}
	return made
}

// make writes the body of a message, or says why there is none.
func (d *dispatcher) make(ctx context.Context, m *message) *verdict {
	event := m.targets[0].delivery
	data, err := d.decode(event.eventType, event.data)
	if err != nil {
		return &verdict{state: dead, fault: short(err.Error())}
	}
	if err := d.Mapping.Out(ctx, m.receiver, data); err != nil {
		v := d.personVerdict(ctx, err)
		return &v
	}
	if m.body, err = encodeJSON(data); err != nil || len(m.body) > maxBodyBytes {
		return &verdict{state: dead, fault: "the data is larger than 64 KiB with the receiver's identifiers"}
	}
	sum := sha256.Sum256(m.body)
	m.detail = oauth.EventDetail{
		Type:       oauth.DetailEvent,
		Receiver:   m.receiver,
		EventType:  d.uri(event.eventType),
		EventID:    event.eventID,
		BodySHA256: base64.RawURLEncoding.EncodeToString(sum[:]),
		HappenedAt: event.happenedAt.Unix(),
	}
	return nil
}

// personVerdict tells a person whom the receiver does not know from a failure
// to find out.
func (d *dispatcher) personVerdict(ctx context.Context, err error) verdict {
	if errors.Is(err, rs.ErrUnknownUser) {
		return verdict{state: skipped, fault: "names a person the receiver does not know"}
	}
	d.log.WarnContext(ctx, "the people of an event cannot be named", "error", err)
	return verdict{state: pending, fault: short(err.Error()), hold: true}
}

// prove gets the credentials of messages and sends them. It is done for each
// attempt anew: a credential is good for two minutes, and names the event by
// the same jti every time.
func (d *dispatcher) prove(ctx context.Context, own string, messages []*message) {
	details := make([]oauth.EventDetail, len(messages))
	for i, m := range messages {
		details[i] = m.detail
	}
	proved, err := d.Client.EventCredentials(ctx, own, details)
	if err != nil {
		d.unproved(ctx, own, messages, err)
		return
	}
	for i, m := range messages {
		credential := proved[i].IDToken
		if credential == "" {
			d.reportAll(m.targets, verdict{state: skipped, fault: "the receiver does not know the person"})
			continue
		}
		id, err := idOf(credential)
		if err != nil {
			d.reportAll(m.targets, verdict{state: pending, fault: short(err.Error()), hold: true})
			continue
		}
		for _, one := range m.targets {
			d.requests.Go(func() { d.report(one.delivery, d.post(ctx, one.to, m.body, credential, id)) })
		}
	}
}

// unproved judges a refused request for credentials. One receiver that is not
// declared has all of them refused, so each is asked for alone to see which.
func (d *dispatcher) unproved(ctx context.Context, own string, messages []*message, err error) {
	var refusal *oauth.Error
	errors.As(err, &refusal)
	if refusal == nil {
		refusal = &oauth.Error{}
	}
	ours := refusal.Code == oauth.InvalidTarget || refusal.Code == oauth.InvalidRequest || refusal.Code == oauth.InvalidAuthorizationDetails
	switch {
	case ours && len(messages) > 1:
		for i := range messages {
			d.prove(ctx, own, messages[i:i+1])
		}
	case refusal.Code == oauth.InvalidAuthorizationDetails:
		// Most likely a clock of ours that is ahead, so that the event has not
		// happened yet for the server: later it will have.
		d.log.WarnContext(ctx, "event refused a credential", "event", messages[0].detail.EventID, "error", err)
		d.reportAll(messages[0].targets, verdict{state: pending, fault: short(err.Error())})
	case refusal.Code == oauth.InvalidTarget:
		d.reportAll(messages[0].targets, verdict{
			state: pending, fault: short(err.Error()),
			pause: fmt.Sprintf("The group file does not declare that %s receives %s.", messages[0].receiver, messages[0].targets[0].eventType),
		})
	case ours:
		d.reportAll(messages[0].targets, verdict{state: dead, fault: short(err.Error())})
	default:
		d.log.WarnContext(ctx, "no event credentials", "error", err)
		for _, m := range messages {
			d.reportAll(m.targets, verdict{state: pending, fault: short(err.Error()), hold: true})
		}
	}
}

func (d *dispatcher) reportAll(targets []target, v verdict) {
	for _, one := range targets {
		d.report(one.delivery, v)
	}
}

// idOf reads the jti of a credential. It came from the issuer itself; that it
// is good is for the receiver to check.
func idOf(credential string) (string, error) {
	parts := strings.Split(credential, ".")
	var claims struct {
		ID string `json:"jti"`
	}
	if len(parts) == 3 {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(payload, &claims) == nil && isID(claims.ID) {
			return claims.ID, nil
		}
	}
	return "", errors.New("the authorization server gave a credential without a jti")
}

// post sends a message to one subscription.
func (d *dispatcher) post(ctx context.Context, to *Subscription, body []byte, credential, id string) verdict {
	now := d.now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return judge(nil, err, now)
	}
	request.Header.Set("Authorization", oauth.Bearer+" "+credential)
	d.prepareRequest(request, to, body, id, now)
	response, err := d.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return verdict{state: pending, hold: true} // Run ends; nobody's fault
		}
		return judge(nil, err, now)
	}
	defer response.Body.Close()
	v := judge(response, nil, now)
	if response.ContentLength >= 0 && response.ContentLength < maxBodyBytes {
		_, _ = outgoing.ReadBody(response) // so that the connection can be used again
	}
	return v
}

func (d *Publisher) prepareRequest(request *http.Request, to *Subscription, body []byte, id string, now time.Time) {
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "sekisho-event")
	sign(request.Header, id, now, body, d.secretsOf(to, now)...)
}
