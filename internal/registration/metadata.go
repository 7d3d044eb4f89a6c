package registration

import (
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// metadata is what a client says of itself (RFC 7591 §2, OIDC Registration §2),
// as far as it means something here.
type metadata struct {
	RedirectURIs           []string          `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string          `json:"post_logout_redirect_uris,omitempty"`
	ApplicationType        string            `json:"application_type"`
	AuthMethod             string            `json:"token_endpoint_auth_method"`
	GrantTypes             []oauth.GrantType `json:"grant_types"`
	ResponseTypes          []string          `json:"response_types"`
	SubjectType            string            `json:"subject_type"`
	IDTokenAlg             string            `json:"id_token_signed_response_alg"`
	JWKS                   json.RawMessage   `json:"jwks,omitempty"`
	RequirePAR             bool              `json:"require_pushed_authorization_requests,omitempty"` // RFC 9126 §6
	RequireJAR             bool              `json:"require_signed_request_object,omitempty"`         // RFC 9101 §10.5
	DPoPBound              bool              `json:"dpop_bound_access_tokens,omitempty"`              // RFC 9449 §5.2

	Name             string `json:"client_name,omitempty"`
	NameJa           string `json:"client_name#ja,omitempty"`
	ClientURI        string `json:"client_uri,omitempty"`
	LogoURI          string `json:"logo_uri,omitempty"`
	PolicyURI        string `json:"policy_uri,omitempty"`
	TOSURI           string `json:"tos_uri,omitempty"`
	InitiateLoginURI string `json:"initiate_login_uri,omitempty"`

	BackChannelLogoutURI     string `json:"backchannel_logout_uri,omitempty"`
	BackChannelLogoutSession bool   `json:"backchannel_logout_session_required,omitempty"`
}

// Values of metadata.
const (
	applicationWeb    = "web"
	applicationNative = "native"
	subjectPairwise   = "pairwise"
	responseCode      = "code"
)

// own are members by which a client names itself (RFC 7592 §2.2).
type own struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// serversOwn are members that the server alone sets (RFC 7592 §2.2).
var serversOwn = []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}

// notOffered are members that would have something fetched or trusted, or that
// promise a protection: a client that asks for one and does not get it must
// know. What else is not known here is passed over (RFC 7591 §2).
var notOffered = []string{
	"jwks_uri", "sector_identifier_uri", "software_statement",
	"request_uris", "request_object_signing_alg", "request_object_encryption_alg", "request_object_encryption_enc",
	"id_token_encrypted_response_alg", "id_token_encrypted_response_enc",
	"userinfo_signed_response_alg", "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc",
	"authorization_signed_response_alg", "authorization_encrypted_response_alg", "authorization_encrypted_response_enc",
	"tls_client_certificate_bound_access_tokens",
}

// parse reads a body. What is left out has its default.
func parse(body []byte) (metadata, own, map[string]json.RawMessage, error) {
	var m metadata
	var o own
	var members map[string]json.RawMessage
	if !utf8.Valid(body) || jose.Decode(body, &members) != nil || jose.Decode(body, &m) != nil || jose.Decode(body, &o) != nil {
		return metadata{}, own{}, nil, refuse("The body must be one JSON object, no member twice, nested 16 deep at most, each member of the type that RFC 7591 section 2 gives it.")
	}
	for _, name := range notOffered {
		if says(members[name]) {
			return metadata{}, own{}, nil, refuse(name + " is not offered here; leave it out. Nothing is fetched, and no client is to count on what it does not get.")
		}
	}
	if !says(m.JWKS) {
		m.JWKS = nil
	}
	m.fill()
	return m, o, members, nil
}

// says reports whether a member is there and asks for something. Without a value
// it counts as left out (RFC 7592 §2.2).
func says(value json.RawMessage) bool {
	switch string(value) {
	case "", "null", "false", `""`, "[]":
		return false
	}
	return true
}

// fill fills in the defaults (RFC 7591 §2, OIDC Registration §2).
func (m *metadata) fill() {
	for _, member := range []struct {
		value  *string
		absent string
	}{
		{&m.ApplicationType, applicationWeb},
		{&m.AuthMethod, oauth.AuthSecretBasic},
		{&m.SubjectType, subjectPairwise},
		{&m.IDTokenAlg, string(jose.RS256)},
	} {
		if *member.value == "" {
			*member.value = member.absent
		}
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []oauth.GrantType{oauth.GrantAuthorizationCode}
	}
}

// client is the metadata as the group file would declare it.
func (m *metadata) client() (*registry.GroupClient, error) {
	switch {
	case m.ApplicationType != applicationWeb && m.ApplicationType != applicationNative:
		return nil, refuse("application_type is web or native.")
	case m.SubjectType != subjectPairwise:
		return nil, refuse("subject_type is pairwise: no two third parties see the same identifier of a person.")
	case len(m.RedirectURIs) > 0 && !slices.Contains(m.GrantTypes, oauth.GrantAuthorizationCode):
		return nil, refuse("redirect_uris are for the grant type authorization_code, which grant_types leaves out.")
	case slices.ContainsFunc(m.ResponseTypes, func(name string) bool { return name != responseCode }):
		return nil, refuse("response_types has code and nothing else.")
	}
	client := &registry.GroupClient{
		Type:                     m.clientType(),
		Auth:                     registry.AuthMethod(m.AuthMethod),
		JWKS:                     m.JWKS,
		RedirectURIs:             m.RedirectURIs,
		PostLogoutRedirectURIs:   m.PostLogoutRedirectURIs,
		IDTokenAlg:               m.IDTokenAlg,
		Name:                     registry.Text{En: m.Name, Ja: m.NameJa},
		ClientURI:                m.ClientURI,
		LogoURI:                  m.LogoURI,
		PolicyURI:                m.PolicyURI,
		TOSURI:                   m.TOSURI,
		InitiateLoginURI:         m.InitiateLoginURI,
		BackChannelLogoutURI:     m.BackChannelLogoutURI,
		BackChannelLogoutSession: m.BackChannelLogoutSession,
	}
	if m.RequirePAR {
		client.PAR = registry.PARRequired
	}
	if m.RequireJAR {
		client.JAR = registry.JARRequired
	}
	if m.DPoPBound {
		client.SenderConstraint = registry.ConstraintDPoP
	}
	return client, m.checkGrants(client)
}

// clientType tells the kind of software from what it says of itself. A public
// client of the web runs in browsers, and may ask for tokens from there.
func (m *metadata) clientType() registry.ClientType {
	switch {
	case m.ApplicationType == applicationNative:
		return registry.TypeNative
	case !slices.Contains(m.GrantTypes, oauth.GrantAuthorizationCode):
		return registry.TypeBackend
	case m.AuthMethod == oauth.AuthNone:
		return registry.TypeSPA
	default:
		return registry.TypeWeb
	}
}

// checkGrants checks that the client may have each grant it asks for. What lacks
// the places to return to is told with them.
func (m *metadata) checkGrants(client *registry.GroupClient) error {
	can := registry.Registered{Declared: client}.Grants()
	for _, grant := range m.GrantTypes {
		needsPlaces := grant == oauth.GrantAuthorizationCode || grant == oauth.GrantRefreshToken && client.Type != registry.TypeBackend
		if !slices.Contains(can, grant) && !needsPlaces {
			return refuse("A grant type asked for is not for this client: there are authorization_code with refresh_token, and client_credentials for one that proves to be itself.")
		}
	}
	return nil
}

// describe is the metadata in force of a registered client.
func describe(r registry.Registered) metadata {
	c := r.Declared
	m := metadata{
		RedirectURIs:             c.RedirectURIs,
		PostLogoutRedirectURIs:   c.PostLogoutRedirectURIs,
		ApplicationType:          applicationWeb,
		AuthMethod:               string(c.Auth),
		GrantTypes:               r.Grants(),
		ResponseTypes:            []string{},
		SubjectType:              subjectPairwise,
		IDTokenAlg:               c.IDTokenAlg,
		RequirePAR:               c.PAR == registry.PARRequired,
		RequireJAR:               c.JAR == registry.JARRequired,
		DPoPBound:                c.SenderConstraint == registry.ConstraintDPoP,
		JWKS:                     c.JWKS,
		Name:                     c.Name.En,
		NameJa:                   c.Name.Ja,
		ClientURI:                c.ClientURI,
		LogoURI:                  c.LogoURI,
		PolicyURI:                c.PolicyURI,
		TOSURI:                   c.TOSURI,
		InitiateLoginURI:         c.InitiateLoginURI,
		BackChannelLogoutURI:     c.BackChannelLogoutURI,
		BackChannelLogoutSession: c.BackChannelLogoutSession,
	}
	if c.Type == registry.TypeNative {
		m.ApplicationType = applicationNative
	}
	if len(c.RedirectURIs) > 0 {
		m.ResponseTypes = []string{responseCode}
	}
	return m
}
