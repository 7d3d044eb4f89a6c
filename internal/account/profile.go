package account

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// Profile is what a person tells about themselves: the claims of the scopes
// profile, phone and address (OIDC Core §5.1, §5.4). updated_at is not among
// them, the account keeps it; the e-mail address is an identifier.
type Profile struct {
	Name              string `json:"name,omitempty"`
	FamilyName        string `json:"family_name,omitempty"`
	GivenName         string `json:"given_name,omitempty"`
	MiddleName        string `json:"middle_name,omitempty"`
	Nickname          string `json:"nickname,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`
	ProfileURL        string `json:"profile,omitempty"`
	Picture           string `json:"picture,omitempty"`
	Website           string `json:"website,omitempty"`
	Gender            string `json:"gender,omitempty"`
	Birthdate         string `json:"birthdate,omitempty"`
	ZoneInfo          string `json:"zoneinfo,omitempty"`
	Locale            string `json:"locale,omitempty"`

	PhoneNumber         string `json:"phone_number,omitempty"`
	PhoneNumberVerified bool   `json:"phone_number_verified,omitempty"`

	Address *Address `json:"address,omitempty"`
}

// Address is the address claim (OIDC Core §5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

const (
	maxNameRunes    = 200
	maxAddressRunes = 1000
	maxURLBytes     = 2048
)

// ProfileError says which claim of a profile cannot be taken, and why.
type ProfileError struct {
	Claim string
	Why   string
}

func (e *ProfileError) Error() string {
	return fmt.Sprintf("account: %s %s", e.Claim, e.Why)
}

var (
	birthdates = regexp.MustCompile(`^\d{4}(-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]))?$`) // OIDC Core §5.1; the year may stand alone, or be 0000
	zones      = regexp.MustCompile(`^[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,3}$`)
	phones     = regexp.MustCompile(`^\+[1-9][0-9 ().-]{3,30}(;ext=[0-9]{1,10})?$`) // E.164, RFC 3966
)

// Validate reports the first claim that cannot be taken.
func (p *Profile) Validate() error {
	for _, c := range []struct {
		claim, value string
		fault        func(string) string
	}{
		{"name", p.Name, nameFault},
		{"family_name", p.FamilyName, nameFault},
		{"given_name", p.GivenName, nameFault},
		{"middle_name", p.MiddleName, nameFault},
		{"nickname", p.Nickname, nameFault},
		{"preferred_username", p.PreferredUsername, nameFault},
		{"gender", p.Gender, nameFault},
		{"profile", p.ProfileURL, urlFault},
		{"picture", p.Picture, urlFault},
		{"website", p.Website, urlFault},
		{"birthdate", p.Birthdate, formFault(birthdates, "must be YYYY-MM-DD, or a year alone")},
		{"zoneinfo", p.ZoneInfo, formFault(zones, "must be a time zone name as Asia/Tokyo")},
		{"locale", p.Locale, localeFault},
		{"phone_number", p.PhoneNumber, formFault(phones, "must be an international number as +81 3 1234 5678")},
	} {
		if c.value == "" {
			continue
		}
		if why := c.fault(c.value); why != "" {
			return &ProfileError{Claim: c.claim, Why: why}
		}
	}
	return p.Address.validate()
}

func (a *Address) validate() error {
	if a == nil {
		return nil
	}
	for _, part := range []string{a.Formatted, a.StreetAddress, a.Locality, a.Region, a.PostalCode, a.Country} {
		// An address has lines (OIDC Core §5.1.1), a name has none.
		if why := textFault(strings.NewReplacer("\r", "", "\n", "").Replace(part), maxAddressRunes); why != "" {
			return &ProfileError{Claim: "address", Why: why}
		}
	}
	return nil
}

func nameFault(s string) string { return textFault(s, maxNameRunes) }

func textFault(s string, most int) string {
	switch {
	case !utf8.ValidString(s):
		return "is not valid UTF-8 text"
	case utf8.RuneCountInString(s) > most:
		return fmt.Sprintf("has more than %d characters", most)
	case strings.ContainsFunc(s, unprintable):
		return "has characters that cannot be shown"
	}
	return ""
}

// unprintable finds control characters and what would turn the direction of the
// text around it. Joiners stay: scripts and emoji need them.
func unprintable(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	if r == zeroWidthNonJoiner || r == zeroWidthJoiner {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

func urlFault(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || len(s) > maxURLBytes || strings.ContainsFunc(s, unprintable) {
		return "must be an http or https URL"
	}
	return ""
}

func localeFault(s string) string {
	if _, err := language.Parse(s); err != nil || len(s) > 64 {
		return "must be a language tag as ja or en-GB"
	}
	return ""
}

func formFault(form *regexp.Regexp, why string) func(string) string {
	return func(s string) string {
		if !form.MatchString(s) {
			return why
		}
		return ""
	}
}

// text is the profile as its column holds it.
func (p *Profile) text() (string, error) {
	b, err := json.Marshal(p)
	return string(b), err
}
