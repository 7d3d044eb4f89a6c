package courier

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// verificationInterval is the least time between two verifications of a stream.
const verificationInterval = 30 * time.Second

// deliveryMethods are the ways in which events travel.
var deliveryMethods = []string{oauth.DeliveryPush, oauth.DeliveryPoll, oauth.DeliveryIDToken}

// transmitter is the description of the server as a transmitter (SSF 1.0 §7.1).
type transmitter struct {
	SpecVersion           string       `json:"spec_version"`
	Issuer                string       `json:"issuer"`
	JWKSURI               string       `json:"jwks_uri"`
	DeliveryMethods       []string     `json:"delivery_methods_supported"`
	ConfigurationEndpoint string       `json:"configuration_endpoint"`
	StatusEndpoint        string       `json:"status_endpoint"`
	AddSubjectEndpoint    string       `json:"add_subject_endpoint"`
	RemoveSubjectEndpoint string       `json:"remove_subject_endpoint"`
	VerificationEndpoint  string       `json:"verification_endpoint"`
	AuthorizationSchemes  []authScheme `json:"authorization_schemes"`
	DefaultSubjects       string       `json:"default_subjects"`
}

type authScheme struct {
	SpecURN string `json:"spec_urn"`
}

// pathJWKS is where the keys are, as the door of tokens serves them.
const pathJWKS = "/oauth2/jwks"

func newMetadata(issuer string) web.Document {
	body, err := json.Marshal(transmitter{
		SpecVersion:           "1_0",
		Issuer:                issuer,
		JWKSURI:               issuer + pathJWKS,
		DeliveryMethods:       deliveryMethods,
		ConfigurationEndpoint: issuer + PathStreams,
		StatusEndpoint:        issuer + PathStatus,
		AddSubjectEndpoint:    issuer + PathAddSubject,
		RemoveSubjectEndpoint: issuer + PathRemoveSubject,
		VerificationEndpoint:  issuer + PathVerify,
		AuthorizationSchemes:  []authScheme{{SpecURN: "urn:ietf:rfc:6749"}},
		DefaultSubjects:       "ALL", // CAEP Interoperability Profile 1.0 §2.4.2
	})
	if err != nil {
		panic("courier: metadata cannot be written as JSON: " + err.Error()) // a type error, never a value
	}
	return web.NewDocument(body)
}

// Metadata serves the description of the server as a transmitter.
func (c *Courier) Metadata(w http.ResponseWriter, r *http.Request) {
	c.doors.metadata.Serve(w, r)
}

// streamConfiguration is a stream as its receiver sees it (SSF 1.0 §8.1.1). The
// authorization_header is never told again.
type streamConfiguration struct {
	StreamID                string         `json:"stream_id"`
	Issuer                  string         `json:"iss"`
	Audience                oauth.Audience `json:"aud"`
	Delivery                delivery       `json:"delivery"`
	EventsSupported         []string       `json:"events_supported"`
	EventsRequested         []string       `json:"events_requested,omitzero"`
	EventsDelivered         []string       `json:"events_delivered"`
	MinVerificationInterval int            `json:"min_verification_interval"`
	Description             string         `json:"description,omitempty"`
}

// delivery is how the events of a stream travel (SSF 1.0 §6.1).
type delivery struct {
	Method      string `json:"method"`
	EndpointURL string `json:"endpoint_url"`
}

// configuration is what a receiver sees of its stream under a group.
func (c *Courier) configuration(group *registry.Snapshot, receiver *registry.Subsystem, s *Stream) streamConfiguration {
	supported := supportedTypes(group, receiver)
	seen := streamConfiguration{
		StreamID: s.ID, Issuer: c.Mint.Issuer, Audience: oauth.Audience{s.Receiver},
		Delivery:        delivery{Method: s.Method, EndpointURL: s.Endpoint},
		EventsSupported: supported, EventsRequested: s.Requested,
		EventsDelivered:         slices.DeleteFunc(slices.Clone(supported), func(uri string) bool { return !s.wants(uri) }),
		MinVerificationInterval: int(verificationInterval / time.Second), Description: s.Description,
	}
	if s.Method == oauth.DeliveryPoll {
		seen.Delivery.EndpointURL = c.Mint.Issuer + PathPoll + s.ID // set by the transmitter, SSF 1.0 §6.1.2
	}
	return seen
}

// supportedTypes are the types of event that a receiver may have.
func supportedTypes(group *registry.Snapshot, receiver *registry.Subsystem) []string {
	events := group.EventsTo(receiver)
	types := make([]string, len(events))
	for i, event := range events {
		types[i] = event.URI
	}
	return types
}
