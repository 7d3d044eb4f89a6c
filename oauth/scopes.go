package oauth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// Identity scopes (OIDC Core §5.4, §11) and the scopes of the authorization
// server's own API.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopePhone         = "phone"
	ScopeAddress       = "address"
	ScopeOfflineAccess = "offline_access"

	// ScopeConvert lets a service convert pairwise subjects along its edges.
	ScopeConvert = "subjects:convert"
	// ScopeReissue lets a relying party turn the pairwise subjects that it had
	// before its sector was re-keyed into those it has now.
	ScopeReissue = "subjects:reissue"
)

// Limits of a scope parameter.
const (
	maxScopeLength = 1024
	maxScopeItems  = 50
)

// Scopes is a set of scope tokens in the order they were asked for, written
// with one space between (RFC 6749 §3.3). In JSON it is that string.
type Scopes []string

var errScopeSyntax = errors.New("scope is not a list of scope tokens separated by single spaces")

// ParseScopes reads a scope parameter. Repeated tokens count once; an empty
// string is an empty set. At most 1,024 bytes and 50 tokens.
func ParseScopes(s string) (Scopes, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxScopeLength {
		return nil, errScopeSyntax
	}
	parts := strings.Split(s, " ")
	if len(parts) > maxScopeItems {
		return nil, errScopeSyntax
	}
	scopes := make(Scopes, 0, len(parts))
	for _, part := range parts {
		if !ValidScope(part) {
			return nil, errScopeSyntax
		}
		if !slices.Contains(scopes, part) {
			scopes = append(scopes, part)
		}
	}
	return scopes, nil
}

// ValidScope reports whether s is a scope-token (RFC 6749 §3.3).
func ValidScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// Has reports whether the set holds scope.
func (s Scopes) Has(scope string) bool { return slices.Contains(s, scope) }

// HasAll reports whether the set holds every one of scopes.
func (s Scopes) HasAll(scopes []string) bool {
	for _, scope := range scopes {
		if !s.Has(scope) {
			return false
		}
	}
	return true
}

// String writes the set as a scope parameter.
func (s Scopes) String() string { return strings.Join(s, " ") }

// MarshalJSON writes the set as one string, as RFC 8693 §4.2 has it in tokens.
// Scope tokens hold nothing that JSON would escape.
func (s Scopes) MarshalJSON() ([]byte, error) {
	for _, scope := range s {
		if !ValidScope(scope) {
			return json.Marshal(s.String())
		}
	}
	return []byte(`"` + s.String() + `"`), nil
}

// UnmarshalJSON reads the one-string form.
func (s *Scopes) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	scopes, err := ParseScopes(text)
	if err != nil {
		return err
	}
	*s = scopes
	return nil
}
