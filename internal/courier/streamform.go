package courier

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of what a receiver says of its stream.
const (
	maxStreamBody    = 64 << 10
	maxRequested     = 100
	maxDescription   = 256
	maxAuthorization = 4 << 10
	maxEventType     = 512
)

// streamForm is a stream as a receiver describes it. What is nil was left out.
// Members of the transmitter may be there and must be right (SSF 1.0 §8.1.1.3).
type streamForm struct {
	StreamID                string         `json:"stream_id"`
	Issuer                  *string        `json:"iss"`
	Audience                oauth.Audience `json:"aud"`
	Delivery                *deliveryForm  `json:"delivery"`
	EventsSupported         []string       `json:"events_supported"`
	EventsRequested         []string       `json:"events_requested"`
	EventsDelivered         []string       `json:"events_delivered"`
	MinVerificationInterval *int           `json:"min_verification_interval"`
	Description             *string        `json:"description"`
}

type deliveryForm struct {
	Method              string  `json:"method"`
	EndpointURL         string  `json:"endpoint_url"`
	AuthorizationHeader *string `json:"authorization_header"`
}

func readStreamForm(body []byte) (streamForm, error) {
	var form streamForm
	if err := readObject(body, &form); err != nil {
		return form, err
	}
	switch {
	case len(form.EventsRequested) > maxRequested:
		return form, invalid("The member events_requested has more than %d entries.", maxRequested)
	case slices.ContainsFunc(form.EventsRequested, func(uri string) bool { return !plainText(uri, maxEventType) }):
		return form, invalid("The member events_requested has an entry that is no event type.")
	case form.Description != nil && !plainText(*form.Description, maxDescription):
		return form, invalid("The member description must be at most %d bytes of text without control characters.", maxDescription)
	}
	return form, nil
}

// matches checks what of a form is the transmitter's to say.
func (f *streamForm) matches(now streamConfiguration) error {
	var wrong string
	switch {
	case f.Issuer != nil && *f.Issuer != now.Issuer:
		wrong = "iss"
	case f.Audience != nil && !slices.Equal(f.Audience, now.Audience):
		wrong = "aud"
	case f.EventsSupported != nil && !sameSet(f.EventsSupported, now.EventsSupported):
		wrong = "events_supported"
	case f.EventsDelivered != nil && !sameSet(f.EventsDelivered, now.EventsDelivered):
		wrong = "events_delivered"
	case f.MinVerificationInterval != nil && *f.MinVerificationInterval != now.MinVerificationInterval:
		wrong = "min_verification_interval"
	default:
		return nil
	}
	return invalid("The member %s is set by this server and is not what was sent; leave it out.", wrong)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Sorted(slices.Values(b)))
}

// apply puts a form into a stream. Whatever is left out stays as it is.
func (c *Courier) apply(f *streamForm, s *Stream) error {
	if f.EventsRequested != nil {
		// What is not understood is ignored (SSF 1.0 §8.1.1); it is kept, since the
		// group may declare it some day.
		// None at all is not the same as nothing said, which is all there are.
		s.Requested = slices.Compact(append([]string{}, slices.Sorted(slices.Values(f.EventsRequested))...))
	}
	if f.Description != nil {
		s.Description = *f.Description
	}
	if f.Delivery != nil {
		return c.applyDelivery(f.Delivery, s)
	}
	return nil
}

// applyDelivery replaces how a stream is delivered as a whole: a header that is
// not sent again is gone, so that none ever goes to another address than the one
// it was given with.
func (c *Courier) applyDelivery(d *deliveryForm, s *Stream) error {
	switch {
	case !slices.Contains(deliveryMethods, d.Method):
		return invalid("The delivery method is none of %s.", strings.Join(deliveryMethods, ", "))
	case d.Method == oauth.DeliveryPoll && d.EndpointURL != "" && d.EndpointURL != c.Mint.Issuer+PathPoll+s.ID:
		return invalid("For this delivery method endpoint_url is set by this server; leave it out.")
	case d.Method != oauth.DeliveryPush && d.AuthorizationHeader != nil:
		return invalid("An authorization_header goes with the delivery method %s only.", oauth.DeliveryPush)
	}
	s.Method, s.Endpoint, s.Credential = d.Method, "", nil
	if d.Method == oauth.DeliveryPoll {
		return nil
	}
	if err := c.checkEndpoint(s.Receiver, d.EndpointURL); err != nil {
		return err
	}
	s.Endpoint = d.EndpointURL
	if d.AuthorizationHeader == nil || *d.AuthorizationHeader == "" {
		return nil
	}
	if !isHeaderValue(*d.AuthorizationHeader) {
		return invalid("The authorization_header must be at most %d printable ASCII characters.", maxAuthorization)
	}
	s.Credential = c.sealCredential(s.ID, *d.AuthorizationHeader)
	return nil
}

// checkEndpoint refuses an address that events could never be sent to.
func (c *Courier) checkEndpoint(receiver, raw string) error {
	if raw == "" {
		return invalid("The member endpoint_url of delivery is missing.")
	}
	if err := c.policy(receiver).CheckURL(raw); err != nil {
		return invalid("The endpoint_url is refused: %s.", err)
	}
	return nil
}

func isHeaderValue(value string) bool {
	if len(value) > maxAuthorization || strings.TrimSpace(value) != value {
		return false
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

// streamID reads the query of a request about one stream.
func streamID(r *http.Request) (id string, named bool, err error) {
	query := r.URL.Query()
	switch values := query["stream_id"]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	default:
		return "", false, invalid("The parameter stream_id was sent more than once.")
	}
}
