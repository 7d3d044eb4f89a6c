package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

const (
	maxPolled = 50 // tokens in one answer

	// pollTimeout is how long one poll may take. The hub answers a long one
	// within seconds, empty if need be.
	pollTimeout  = time.Minute
	lastPollTime = 5 * time.Second // to say at the end what was handled

	// A hub that is away, and handlers that fail, are tried again after a
	// pause that doubles. Meanwhile other people's events wait too, so that
	// for a handler it stays short.
	firstPause  = time.Second
	failedPause = 5 * time.Second
	awayPause   = time.Minute
)

// pollRequest asks for tokens and settles those of before (RFC 8936 §2.2, §2.4).
type pollRequest struct {
	MaxEvents         int                 `json:"maxEvents"`
	ReturnImmediately bool                `json:"returnImmediately"`
	Ack               []string            `json:"ack,omitempty"`
	SetErrs           map[string]*Refusal `json:"setErrs,omitempty"`
}

// pollAnswer holds tokens by their jti (RFC 8936 §2.3). Whether more are
// available (moreAvailable) does not matter to who asks again at once.
type pollAnswer struct {
	Sets polledSets `json:"sets"`
}

// polledSets are tokens in the order in which the hub has written them, which
// is that of the stream.
type polledSets []polledSet

type polledSet struct{ id, token string }

// UnmarshalJSON reads an object of strings, which encoding/json would give back
// without an order.
func (s *polledSets) UnmarshalJSON(text []byte) error {
	*s = nil
	tokens := json.NewDecoder(bytes.NewReader(text))
	switch first, err := tokens.Token(); {
	case err != nil:
		return err
	case first == nil: // null
		return nil
	case first != json.Delim('{'):
		return errNoSets
	}
	for tokens.More() {
		name, err := tokens.Token()
		if err != nil {
			return err
		}
		value, err := tokens.Token()
		if err != nil {
			return err
		}
		id, isText := name.(string)
		token, isToken := value.(string)
		if !isText || !isToken || slices.ContainsFunc(*s, func(known polledSet) bool { return known.id == id }) {
			return errNoSets
		}
		*s = append(*s, polledSet{id, token})
	}
	return nil
}

var errNoSets = errors.New("event: the sets of a poll are no object of tokens, each once")

// Poll fetches the events of a stream and gives them to the handlers, until ctx
// ends, whose error it then returns (RFC 8936). Client is one of this subsystem
// and the stream is delivered by oauth.DeliveryPoll. An event is acknowledged
// when its handler is done; one that is refused is reported to the hub and not
// sent again; one whose handler fails comes again.
//
// The hub being away is waited out. What it refuses, such as a stream that is
// not there, ends Poll with an *oauth.Error.
func (r *Receiver) Poll(ctx context.Context, client *rp.Client, streamID string) error {
	if client.Issuer != r.config.Issuer {
		return fmt.Errorf("event: the client is of the issuer %q, the receiver of %q", client.Issuer, r.config.Issuer)
	}
	hub := client.ServiceClient(client.Issuer, oauth.ScopeStreamManage)
	hub.Timeout = 0 // each request has its own
	p := &poller{
		receiver: r,
		streams:  &Streams{Client: client, HTTPClient: r.config.HTTPClient},
		streamID: streamID,
		hub:      hub,
	}
	defer p.settle(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		if err := p.poll(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// poller is a loop under way. What ack and refused hold is handled, but the hub
// does not know yet.
type poller struct {
	receiver *Receiver
	streams  *Streams
	streamID string
	hub      *http.Client
	endpoint string // of the stream, once the hub has told it
	ack      []string
	refused  map[string]*Refusal
	pause    time.Duration
}

// poll does one round. Only what cannot get better by itself is an error.
func (p *poller) poll(ctx context.Context) error {
	answer, err := p.ask(ctx, pollRequest{MaxEvents: maxPolled, Ack: p.ack, SetErrs: p.refused})
	var refusal *oauth.Error
	switch {
	case err == nil:
		p.ack, p.refused = nil, nil
	case errors.Is(err, errNotPolled), errors.As(err, &refusal) && final(refusal):
		return err
	case ctx.Err() != nil:
		return nil // the end, whatever the hub has answered
	default:
		p.receiver.log.WarnContext(ctx, "events not fetched", "error", err)
		p.wait(ctx, awayPause)
		return nil
	}
	if p.handle(ctx, answer.Sets) {
		p.pause = 0
	} else {
		// What failed comes again in the next answer, at once.
		p.wait(ctx, failedPause)
	}
	return nil
}

// final reports whether a refusal would be the same the next time. A token that
// has ended is got anew; a secret that is wrong stays so.
func final(refusal *oauth.Error) bool {
	switch status := refusal.HTTPStatus(); status {
	case http.StatusUnauthorized:
		return refusal.Code == oauth.InvalidClient
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	default:
		return status >= 400 && status < 500
	}
}

var errNotPolled = errors.New("event: the stream is not one to be polled")

func (p *poller) ask(ctx context.Context, request pollRequest) (pollAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	var answer pollAnswer
	if p.endpoint == "" {
		stream, err := p.streams.Get(ctx, p.streamID)
		if err != nil {
			return answer, err
		}
		// The hub says where it is polled (SSF 1.0 §6.1.2).
		address := stream.Delivery.EndpointURL
		if stream.Delivery.Method != oauth.DeliveryPoll || issuer.CheckURL("endpoint_url", address, p.streams.Client.Issuer) != nil {
			return answer, errNotPolled
		}
		p.endpoint = address
	}
	return answer, callHub(ctx, p.hub, http.MethodPost, p.endpoint, request, &answer)
}

// handle handles tokens in the order of the stream. While an event
// about a person comes to nothing, later ones about the same person wait. It
// reports whether all are settled.
func (p *poller) handle(ctx context.Context, sets polledSets) bool {
	settled := true
	failed := make(map[string]bool) // by subject
	for _, e := range p.verify(ctx, sets, &settled) {
		if ctx.Err() != nil {
			return true // the rest comes again
		}
		if e.Subject != "" && failed[e.Subject] {
			continue
		}
		if err := p.receiver.take(ctx, e); !p.done(ctx, e.ID, err) {
			settled, failed[e.Subject] = false, true
		}
	}
	return settled
}

// verify sorts out what is no event for this receiver.
func (p *poller) verify(ctx context.Context, sets polledSets, settled *bool) []*Event {
	var events []*Event
	for _, set := range sets {
		e, err := p.receiver.verifySET(ctx, set.token)
		if err == nil && e.ID != set.id {
			err = refuse(InvalidRequest, "The token has another jti than it was given under.")
		}
		if err == nil {
			events = append(events, e)
		} else if !p.done(ctx, set.id, err) {
			*settled = false
		}
	}
	return events
}

// done notes what the hub is to be told about a token. It reports whether that
// is the end of it: what failed for a reason of our own is not mentioned, and
// so comes again.
func (p *poller) done(ctx context.Context, id string, err error) bool {
	var refusal *Refusal
	switch {
	case err == nil:
		p.ack = append(p.ack, id)
	case errors.As(err, &refusal):
		p.receiver.log.WarnContext(ctx, "event refused", "id", id, "code", refusal.Code, "description", refusal.Description)
		if p.refused == nil {
			p.refused = make(map[string]*Refusal)
		}
		p.refused[id] = refusal
	default:
		if ctx.Err() == nil {
			p.receiver.log.ErrorContext(ctx, "event not handled", "id", id, "error", err)
		}
		return false
	}
	return true
}

// settle tells the hub at the end what was handled. If that fails, it comes
// again and is known by the inbox.
func (p *poller) settle(ctx context.Context) {
	if len(p.ack) == 0 && len(p.refused) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastPollTime)
	defer cancel()
	_, err := p.ask(ctx, pollRequest{ReturnImmediately: true, Ack: p.ack, SetErrs: p.refused})
	if err != nil {
		p.receiver.log.WarnContext(ctx, "handled events not acknowledged", "error", err)
	}
}

// wait pauses, for longer each time in a row and never for the same time as
// others.
func (p *poller) wait(ctx context.Context, most time.Duration) {
	p.pause = min(max(2*p.pause, firstPause), most)
	p.receiver.sleep(ctx, p.pause/2+rand.N(p.pause/2+1))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
