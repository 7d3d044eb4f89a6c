package token

import (
	"encoding/json"
	"slices"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// claim is one claim about a person, the scope that gives it, and where it
// stands in an account (OIDC Core §5.1, §5.4). A nil value is left out.
type claim struct {
	name  string
	scope string
	value func(*account.Account) any
}

// personClaims is the table of all claims that userinfo can give.
func personClaims() []claim {
	return []claim{
		{"name", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.Name) }},
		{"family_name", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.FamilyName) }},
		{"given_name", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.GivenName) }},
		{"middle_name", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.MiddleName) }},
		{"nickname", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.Nickname) }},
		{"preferred_username", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.PreferredUsername) }},
		{"profile", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.ProfileURL) }},
		{"picture", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.Picture) }},
		{"website", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.Website) }},
		{"gender", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.Gender) }},
		{"birthdate", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.Birthdate) }},
		{"zoneinfo", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.ZoneInfo) }},
		{"locale", oauth.ScopeProfile, func(a *account.Account) any { return text(a.Profile.Locale) }},
		{"updated_at", oauth.ScopeProfile, func(a *account.Account) any { return a.UpdatedAt.Unix() }},
		{"email", oauth.ScopeEmail, func(a *account.Account) any { return text(a.Email) }},
		{"email_verified", oauth.ScopeEmail, func(a *account.Account) any { return beside(a.Email, a.EmailVerified) }},
		{"phone_number", oauth.ScopePhone, func(a *account.Account) any { return text(a.Profile.PhoneNumber) }},
		{"phone_number_verified", oauth.ScopePhone, func(a *account.Account) any {
			return beside(a.Profile.PhoneNumber, a.Profile.PhoneNumberVerified)
		}},
		{"address", oauth.ScopeAddress, func(a *account.Account) any {
			if a.Profile.Address == nil {
				return nil
			}
			return a.Profile.Address
		}},
	}
}

// text is a value that is left out where it is empty.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// beside is a verified flag, which stands only beside what it is about.
func beside(s string, verified bool) any {
	if s == "" {
		return nil
	}
	return verified
}

// claimsSupported lists the claims for the metadata.
func claimsSupported() []string {
	names := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"}
	for _, c := range personClaims() {
		names = append(names, c.name)
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
	for _, c := range personClaims() {
		_, byName := names[c.name]
		byName = byName && group.MaySignIn(client, c.scope) &&
			(!client.Subsystem.Scenario.NeedsConsent() || slices.Contains(given.Scopes[d.Issuer], c.scope))
		if !byName && !scopes.Has(c.scope) {
			continue
		}
		if value := c.value(person); value != nil {
			claims[c.name] = value
		}
	}
	return claims
}
