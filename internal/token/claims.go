package token

import (
	"encoding/json"
	"slices"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// claimsSupported lists the claims for the metadata.
func claimsSupported() []string {
	names := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"}
	for _, c := range account.Claims() {
		names = append(names, c.Name)
	}
	return names
}

// asked are the names that a claims parameter asks for, in either place
// (OIDC Core §5.5).
type asked struct {
	Userinfo map[string]json.RawMessage `json:"userinfo"`
	IDToken  map[string]json.RawMessage `json:"id_token"`
}

// readAsked reads the claims parameter of a grant. It was checked when the grant
// was made; one that does not parse asks for nothing.
func readAsked(given *grant.Grant) (names asked) {
	if given.Claims == "" || json.Unmarshal([]byte(given.Claims), &names) != nil {
		return asked{}
	}
	return names
}

// released are the claims about a person that the scopes give, and those that
// are asked for by name. By name a client gets only what it could have got by
// a scope: declared for it, and where people are asked for consent, consented.
func (d *Door) released(client *registry.Client, given *grant.Grant, person *account.Account, scopes oauth.Scopes, names map[string]json.RawMessage) map[string]any {
	group := d.Registry.Current()
	claims := map[string]any{}
	for _, c := range account.Claims() {
		_, byName := names[c.Name]
		byName = byName && group.MaySignIn(client, c.Scope) &&
			(!client.Subsystem.Scenario.NeedsConsent() || slices.Contains(given.Scopes[d.Issuer], c.Scope))
		if !byName && !scopes.Has(c.Scope) {
			continue
		}
		if value := c.Value(person); value != nil {
			claims[c.Name] = value
		}
	}
	return claims
}
