package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"sync"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// Streams manages where the hub sends this subsystem's events (OpenID Shared
// Signals Framework 1.0 §8). The client must be a confidential one of a
// subsystem that receives events; it has one stream. Make it as a literal and
// share it.
//
// What the server refuses comes back as *oauth.Error with the HTTP status: 404
// for a stream that is not there or another's, 409 for a second one, 429 for
// verifications that are asked for too often.
type Streams struct {
	Client     *rp.Client
	HTTPClient *http.Client // for the configuration document; nil: a plain one

	mu         sync.Mutex
	discovered *Transmitter
}

// Transmitter is what the hub says of itself (SSF 1.0 §7.1).
type Transmitter struct {
	SpecVersion           string   `json:"spec_version"`
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	DeliveryMethods       []string `json:"delivery_methods_supported"`
	ConfigurationEndpoint string   `json:"configuration_endpoint"`
	StatusEndpoint        string   `json:"status_endpoint"`
	AddSubjectEndpoint    string   `json:"add_subject_endpoint"`
	RemoveSubjectEndpoint string   `json:"remove_subject_endpoint"`
	VerificationEndpoint  string   `json:"verification_endpoint"`
	DefaultSubjects       string   `json:"default_subjects"`
}

// Stream is how events reach this subsystem (SSF 1.0 §8.1.1). To make or change
// one, set Delivery, EventsRequested and Description; the rest is the server's.
type Stream struct {
	ID                      string         `json:"stream_id,omitempty"`
	Issuer                  string         `json:"iss,omitempty"`
	Audience                oauth.Audience `json:"aud,omitempty"`
	Delivery                Delivery       `json:"delivery,omitzero"`
	EventsRequested         []string       `json:"events_requested,omitempty"` // none: all there are for this subsystem
	EventsSupported         []string       `json:"events_supported,omitempty"`
	EventsDelivered         []string       `json:"events_delivered,omitempty"`
	MinVerificationInterval int            `json:"min_verification_interval,omitempty"` // seconds
	Description             string         `json:"description,omitempty"`
}

// Delivery is the way of a stream's events (SSF 1.0 §6.1): oauth.DeliveryPush
// or DeliveryIDToken to an address of ours, or DeliveryPoll, where the server
// names the address to ask.
type Delivery struct {
	Method      string `json:"method"`
	EndpointURL string `json:"endpoint_url,omitempty"`

	// Authorization is the header that pushed tokens shall come with. The
	// server does not tell it again, and forgets it unless it is sent with
	// each change of the delivery.
	Authorization string `json:"authorization_header,omitempty"`
}

// Status is whether a stream flows (SSF 1.0 §8.1.2).
type Status string

// The statuses. A paused stream keeps its events for later, a disabled one
// drops them.
const (
	StreamEnabled  Status = "enabled"
	StreamPaused   Status = "paused"
	StreamDisabled Status = "disabled"
)

// StreamStatus is the status of a stream, with the reason of who set it.
type StreamStatus struct {
	ID     string `json:"stream_id"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// asked is what of a stream is this subsystem's to say, so that one that was
// read may be changed and sent back.
func (s Stream) asked() Stream {
	asked := Stream{ID: s.ID, Delivery: s.Delivery, EventsRequested: s.EventsRequested, Description: s.Description}
	if asked.Delivery.Method == oauth.DeliveryPoll {
		asked.Delivery.EndpointURL = ""
	}
	return asked
}

// Transmitter reads what the hub says of itself, once.
func (s *Streams) Transmitter(ctx context.Context) (*Transmitter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.discovered != nil {
		return s.discovered, nil
	}
	var found Transmitter
	if err := issuer.Read(ctx, issuer.Client(s.HTTPClient), s.Client.Issuer, "ssf-configuration", &found); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	if found.Issuer != s.Client.Issuer { // SSF 1.0 §7.2.3
		return nil, fmt.Errorf("event: the hub calls itself %q, not %q", found.Issuer, s.Client.Issuer)
	}
	// Tokens go to these addresses.
	for name, address := range map[string]string{
		"configuration_endpoint":  found.ConfigurationEndpoint,
		"status_endpoint":         found.StatusEndpoint,
		"add_subject_endpoint":    found.AddSubjectEndpoint,
		"remove_subject_endpoint": found.RemoveSubjectEndpoint,
		"verification_endpoint":   found.VerificationEndpoint,
	} {
		if address == "" {
			continue
		}
		if err := issuer.CheckURL(name, address, found.Issuer); err != nil {
			return nil, fmt.Errorf("event: %w", err)
		}
	}
	s.discovered = &found
	return s.discovered, nil
}

// Create makes the stream (SSF 1.0 §8.1.1.1).
func (s *Streams) Create(ctx context.Context, stream Stream) (*Stream, error) {
	var made Stream
	return &made, s.streams(ctx, http.MethodPost, "", stream.asked(), &made)
}

// Ensure sees to it, at the start of a program, that this client's stream is as
// given: it makes the stream, or replaces the one there is.
func (s *Streams) Ensure(ctx context.Context, stream Stream) (*Stream, error) {
	found, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		made, err := s.Create(ctx, stream)
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || refusal.HTTPStatus() != http.StatusConflict {
			return made, err
		}
		// Another replica was faster.
		if found, err = s.List(ctx); err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, refusal
		}
	}
	stream.ID = found[0].ID
	return s.Replace(ctx, stream)
}

// Get reads a stream (SSF 1.0 §8.1.1.2).
func (s *Streams) Get(ctx context.Context, id string) (*Stream, error) {
	var found Stream
	return &found, s.streams(ctx, http.MethodGet, id, nil, &found)
}

// List reads the streams there are: none or one (SSF 1.0 §8.1.1.2).
func (s *Streams) List(ctx context.Context) ([]Stream, error) {
	var found []Stream
	return found, s.streams(ctx, http.MethodGet, "", nil, &found)
}

// Update changes what is set in stream, and leaves the rest of the stream with
// its ID as it is (SSF 1.0 §8.1.1.3).
func (s *Streams) Update(ctx context.Context, stream Stream) (*Stream, error) {
	var changed Stream
	return &changed, s.streams(ctx, http.MethodPatch, "", stream.asked(), &changed)
}

// Replace changes all of the stream with its ID: what is not set in stream is
// taken away (SSF 1.0 §8.1.1.4).
func (s *Streams) Replace(ctx context.Context, stream Stream) (*Stream, error) {
	var changed Stream
	return &changed, s.streams(ctx, http.MethodPut, "", stream.asked(), &changed)
}

// Delete ends a stream; what waits in it is dropped (SSF 1.0 §8.1.1.5).
func (s *Streams) Delete(ctx context.Context, id string) error {
	return s.streams(ctx, http.MethodDelete, id, nil, nil)
}

// Status reads the status of a stream (SSF 1.0 §8.1.2.1).
func (s *Streams) Status(ctx context.Context, id string) (*StreamStatus, error) {
	hub, err := s.Transmitter(ctx)
	if err != nil {
		return nil, err
	}
	var found StreamStatus
	return &found, s.call(ctx, http.MethodGet, withStream(hub.StatusEndpoint, id), nil, &found)
}

// SetStatus changes the status of a stream (SSF 1.0 §8.1.2.2).
func (s *Streams) SetStatus(ctx context.Context, status StreamStatus) error {
	hub, err := s.Transmitter(ctx)
	if err != nil {
		return err
	}
	return s.call(ctx, http.MethodPost, hub.StatusEndpoint, status, nil)
}

// AddSubject puts a person, by this subsystem's own subject, back on a stream
// (SSF 1.0 §8.1.3.2). Everybody is on it from the start.
func (s *Streams) AddSubject(ctx context.Context, id, subject string) error {
	return s.subject(ctx, id, subject, func(hub *Transmitter) string { return hub.AddSubjectEndpoint })
}

// RemoveSubject takes a person off a stream (SSF 1.0 §8.1.3.3).
func (s *Streams) RemoveSubject(ctx context.Context, id, subject string) error {
	return s.subject(ctx, id, subject, func(hub *Transmitter) string { return hub.RemoveSubjectEndpoint })
}

func (s *Streams) subject(ctx context.Context, id, subject string, endpoint func(*Transmitter) string) error {
	hub, err := s.Transmitter(ctx)
	if err != nil {
		return err
	}
	return s.call(ctx, http.MethodPost, endpoint(hub), struct {
		ID      string          `json:"stream_id"`
		Subject oauth.SubjectID `json:"subject"`
	}{id, oauth.SubjectID{Format: oauth.FormatIssuerSubject, Issuer: s.Client.Issuer, Subject: subject}}, nil)
}

// Verify has a verification event with a state sent on a stream (SSF 1.0
// §8.1.4.2). Handle oauth.EventVerification to see it arrive.
func (s *Streams) Verify(ctx context.Context, id, state string) error {
	hub, err := s.Transmitter(ctx)
	if err != nil {
		return err
	}
	return s.call(ctx, http.MethodPost, hub.VerificationEndpoint, struct {
		ID    string `json:"stream_id"`
		State string `json:"state,omitempty"`
	}{id, state}, nil)
}

// streams calls the configuration endpoint, about one stream if id is set.
func (s *Streams) streams(ctx context.Context, method, id string, body, answer any) error {
	hub, err := s.Transmitter(ctx)
	if err != nil {
		return err
	}
	return s.call(ctx, method, withStream(hub.ConfigurationEndpoint, id), body, answer)
}

func withStream(endpoint, id string) string {
	if id == "" || endpoint == "" {
		return endpoint
	}
	return endpoint + "?" + url.Values{"stream_id": {id}}.Encode()
}

// call sends a request with a token for it: one that can only look for those
// that only look (CAEP Interoperability Profile 1.0 §2.7.3).
func (s *Streams) call(ctx context.Context, method, endpoint string, body, answer any) error {
	scope := oauth.ScopeStreamManage
	if method == http.MethodGet {
		scope = oauth.ScopeStreamRead
	}
	return callHub(ctx, s.Client.ServiceClient(s.Client.Issuer, scope), method, endpoint, body, answer)
}

// maxHubBytes is as long as an answer may be. One of a poll holds up to
// maxPolled tokens.
const maxHubBytes = 8 << 20

// callHub sends JSON to an endpoint of the hub and reads the JSON it answers.
func callHub(ctx context.Context, client *http.Client, method, endpoint string, body, answer any) error {
	if endpoint == "" {
		return errors.New("event: the hub has no such endpoint")
	}
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, endpoint, content)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := issuer.Body(response, maxHubBytes)
	if err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return hubRefusal(response, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("event: %s answered no valid JSON: %w", request.URL.Path, err)
	}
	return nil
}

// hubRefusal reads an error answer. What is none of the hub's (a proxy's page,
// say) tells its status and nothing of the body.
func hubRefusal(response *http.Response, text []byte) error {
	refused := new(oauth.Error)
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if mediaType != "application/json" || json.Unmarshal(text, refused) != nil {
		*refused = oauth.Error{}
	}
	if refused.Description == "" {
		refused.Description = "The hub answered " + response.Status
	}
	refused.Status = response.StatusCode
	return refused
}
