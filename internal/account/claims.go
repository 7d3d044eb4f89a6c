package account

import "github.com/sekisho-id/sekisho/oauth"

// Claim is one claim about a person, the scope that gives it, and where it
// stands in an account (OIDC Core §5.1, §5.4). A nil value is left out.
type Claim struct {
	Name  string
	Scope string
	Value func(*Account) any
}

// Claims is the table of all claims there are about a person.
func Claims() []Claim {
	return []Claim{
		{"name", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.Name) }},
		{"family_name", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.FamilyName) }},
		{"given_name", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.GivenName) }},
		{"middle_name", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.MiddleName) }},
		{"nickname", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.Nickname) }},
		{"preferred_username", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.PreferredUsername) }},
		{"profile", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.ProfileURL) }},
		{"picture", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.Picture) }},
		{"website", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.Website) }},
		{"gender", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.Gender) }},
		{"birthdate", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.Birthdate) }},
		{"zoneinfo", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.ZoneInfo) }},
		{"locale", oauth.ScopeProfile, func(a *Account) any { return text(a.Profile.Locale) }},
		{"updated_at", oauth.ScopeProfile, func(a *Account) any { return a.UpdatedAt.Unix() }},
		{"email", oauth.ScopeEmail, func(a *Account) any { return text(a.Email) }},
		{"email_verified", oauth.ScopeEmail, func(a *Account) any { return beside(a.Email, a.EmailVerified) }},
		{"phone_number", oauth.ScopePhone, func(a *Account) any { return text(a.Profile.PhoneNumber) }},
		{"phone_number_verified", oauth.ScopePhone, func(a *Account) any {
			return beside(a.Profile.PhoneNumber, a.Profile.PhoneNumberVerified)
		}},
		{"address", oauth.ScopeAddress, func(a *Account) any {
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
