package token

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// request is a token request, parsed. Which fields count depends on the grant.
type request struct {
	grantType oauth.GrantType
	scopes    oauth.Scopes // nil when none were asked for
	resources []string     // resource (RFC 8707 §2), each once

	code        string // RFC 6749 §4.1.3
	redirectURI string
	verifier    string // RFC 7636 §4.5

	refreshToken string // RFC 6749 §6

	subjectToken       string // RFC 8693 §2.1
	subjectTokenType   oauth.TokenType
	subjectTokenProof  string // ours: the DPoP proof that the subject token came with
	actorToken         string
	actorTokenType     oauth.TokenType
	requestedTokenType oauth.TokenType
	audiences          []string

	details string // authorization_details (RFC 9396 §6), as sent
}

// call is a request of an authenticated client, with the group as it is at
// this moment: client belongs to that snapshot.
type call struct {
	request
	client *registry.Client
	group  *registry.Snapshot
	source netip.Addr
	bound  *oauth.Confirmation // to what its tokens are bound; nil for bearer tokens
}

// key is the thumbprint of the key that the tokens are bound to; empty for none.
func (c call) key() string {
	if c.bound == nil {
		return ""
	}
	return c.bound.JKT + c.bound.X5T // one of the two
}

// tokenType is the token_type of an access token with this cnf (RFC 9449 §5).
func tokenType(bound *oauth.Confirmation) string {
	if bound != nil && bound.JKT != "" {
		return oauth.DPoP
	}
	return oauth.Bearer
}

// parseRequest reads a token request (RFC 6749 §3.2). The form is given back
// for the client's credentials in it.
func parseRequest(w http.ResponseWriter, r *http.Request) (request, url.Values, error) {
	form, err := parsePost(w, r)
	if err != nil {
		return request{}, nil, err
	}
	grantType := oauth.GrantType(form.Get("grant_type"))
	if grantType == "" {
		return request{}, nil, oauth.Refuse(oauth.InvalidRequest, "The parameter grant_type is missing.")
	}
	scopes, err := oauth.ParseScopes(form.Get("scope"))
	if err != nil {
		return request{}, nil, oauth.Refuse(oauth.InvalidScope,
			"The scope parameter must be scope names with one space between, at most 50 of them.")
	}
	return request{
		grantType: grantType,
		scopes:    scopes,
		resources: unique(form["resource"]),

		code:        form.Get("code"),
		redirectURI: form.Get("redirect_uri"),
		verifier:    form.Get("code_verifier"),

		refreshToken: form.Get("refresh_token"),

		subjectToken:       form.Get("subject_token"),
		subjectTokenType:   oauth.TokenType(form.Get("subject_token_type")),
		subjectTokenProof:  form.Get("subject_token_proof"),
		actorToken:         form.Get("actor_token"),
		actorTokenType:     oauth.TokenType(form.Get("actor_token_type")),
		requestedTokenType: oauth.TokenType(form.Get("requested_token_type")),
		audiences:          unique(form["audience"]),

		details: form.Get("authorization_details"),
	}, form, nil
}

// parsePost reads the form of an endpoint that only POST may use.
func parsePost(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return nil, err
	}
	return web.ParseForm(w, r, web.FormLimit)
}

// unique drops repeated and empty values.
func unique(values []string) []string {
	var once []string
	for _, value := range values {
		if value != "" && !slices.Contains(once, value) {
			once = append(once, value)
		}
	}
	return once
}
