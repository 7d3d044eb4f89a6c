package signin

import (
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/oauth"
)

// How strongly a person has signed in, weakest first (NIST SP 800-63B): with one way of
// proof, or with two that a thief would need both of.
const (
	acrPassword = "aal1"
	acrTwo      = "aal2"
)

// acrNames are the names that each level goes by: our own, and those of ISO/IEC 29115,
// at whose levels 0 to 2 one factor is enough, and at 3 several are asked for.
var acrNames = map[string]string{acrPassword: acrPassword, "0": acrPassword, "1": acrPassword, "2": acrPassword, acrTwo: acrTwo, "3": acrTwo}

// leastACR is the lowest level among those that are wished for; false if none of them
// can be reached here.
func leastACR(wanted []string) (string, bool) {
	least := ""
	for _, name := range wanted {
		if level := acrNames[name]; level != "" && (least == "" || weaker(level, least)) {
			least = level
		}
	}
	return least, least != ""
}

// weaker reports whether a level is below another; empty is below all.
func weaker(acr, than string) bool { return strings.Compare(acr, than) < 0 } // as their names are in order

// Ways of proof as tokens tell them (RFC 8176).
const (
	amrPassword  = "pwd"
	amrCode      = "otp"
	amrMultiple  = "mfa"
	amrFederated = "fed" // at a provider of somebody else; RFC 8176 has no word for it
	amrPresence  = "user"
	amrDeviceKey = "hwk" // a key that is in one device
	amrSyncedKey = "swk" // a key that may be in several
)

func byPassword(now time.Time) grant.SignIn {
	return grant.SignIn{AuthTime: now, ACR: acrPassword, AMR: []string{amrPassword}}
}

// byPasskey is a sign-in with a passkey: something one has, which has made sure who one
// is.
func byPasskey(now time.Time, key *account.Passkey) grant.SignIn {
	kind := amrDeviceKey
	if key.Synced {
		kind = amrSyncedKey
	}
	return grant.SignIn{AuthTime: now, ACR: acrTwo, AMR: []string{kind, amrPresence, amrMultiple}}
}

// byCode adds a one-time code to what was proved before.
func byCode(now time.Time, before []string) grant.SignIn {
	amr := slices.Clone(before)
	for _, method := range []string{amrCode, amrMultiple} {
		if !slices.Contains(amr, method) {
			amr = append(amr, method)
		}
	}
	return grant.SignIn{AuthTime: now, ACR: acrTwo, AMR: amr}
}

func refuseACR() error {
	return oauth.Refuse(oauth.UnmetAuthentication, "The requested authentication context cannot be reached. This server offers "+acrPassword+" and "+acrTwo+".")
}
