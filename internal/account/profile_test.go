package account_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
)

func completeProfile() account.Profile {
	return account.Profile{
		Name: "Alice Liddell", FamilyName: "Liddell", GivenName: "Alice", MiddleName: "Pleasance", Nickname: "Al",
		PreferredUsername: "alice", ProfileURL: "https://example.com/alice", Picture: "https://example.com/alice.png",
		Website: "http://alice.example", Gender: "female", Birthdate: "1852-05-04", ZoneInfo: "Europe/London", Locale: "en-GB",
		PhoneNumber: "+44 20 7946 0958;ext=12", PhoneNumberVerified: true,
		Address: &account.Address{
			Formatted: "Deanery\r\nOxford", StreetAddress: "Deanery", Locality: "Oxford",
			Region: "Oxfordshire", PostalCode: "OX1 1DP", Country: "UK",
		},
	}
}

// The claims of the scopes profile, phone and address (OIDC Core §5.4), but for
// updated_at, which the account keeps.
func TestProfileHasTheStandardClaims(t *testing.T) {
	t.Parallel()
	p := completeProfile()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	for _, claim := range strings.Fields(`name family_name given_name middle_name nickname preferred_username profile
		picture website gender birthdate zoneinfo locale phone_number phone_number_verified address`) {
		if _, ok := claims[claim]; !ok {
			t.Errorf("%s is missing", claim)
		}
		delete(claims, claim)
	}
	if len(claims) != 0 {
		t.Errorf("too many: %v", claims)
	}
	var back account.Profile
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("%+v came back as %+v, %v", p, back, err)
	}
}

func TestProfileFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		claim string
		spoil func(*account.Profile)
	}{
		{"name", func(p *account.Profile) { p.Name = strings.Repeat("ä", 201) }},
		{"name", func(p *account.Profile) { p.Name = "Alice\r\nBob" }},
		{"nickname", func(p *account.Profile) { p.Nickname = "\u202ecilA" }},
		{"given_name", func(p *account.Profile) { p.GivenName = "\xff" }},
		{"preferred_username", func(p *account.Profile) { p.PreferredUsername = "\x1b[31m" }},
		{"picture", func(p *account.Profile) { p.Picture = "data:image/png;base64,AAAA" }},
		{"profile", func(p *account.Profile) { p.ProfileURL = "//example.com" }},
		{"website", func(p *account.Profile) { p.Website = "https://" + strings.Repeat("a", 2048) }},
		{"birthdate", func(p *account.Profile) { p.Birthdate = "1852-13-04" }},
		{"birthdate", func(p *account.Profile) { p.Birthdate = "4 May 1852" }},
		{"zoneinfo", func(p *account.Profile) { p.ZoneInfo = "../../etc/passwd" }},
		{"locale", func(p *account.Profile) { p.Locale = "english please" }},
		{"phone_number", func(p *account.Profile) { p.PhoneNumber = "020 7946" }},
		{"address", func(p *account.Profile) { p.Address.Country = "U\x00K" }},
		{"address", func(p *account.Profile) { p.Address.Formatted = strings.Repeat("a", 1001) }},
	} {
		p := completeProfile()
		c.spoil(&p)
		var fault *account.ProfileError
		if err := p.Validate(); !errors.As(err, &fault) || fault.Claim != c.claim {
			t.Errorf("%s: %v", c.claim, err)
		}
	}
	for _, good := range []account.Profile{{}, {Birthdate: "0000-02-29"}, {Birthdate: "1852"}, {ZoneInfo: "UTC"}, {Name: "👩‍🔬"}, {Locale: "ja"}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}
