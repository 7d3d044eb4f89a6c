package registry

import (
	"slices"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// Profile is how strict a client, or what calls a resource, must be.
type Profile string

// The profiles, each with all that the one before it asks for.
const (
	ProfileOIDC           Profile = "oidc"                  // OpenID Connect, OAuth 2.1
	ProfileFAPI           Profile = "fapi2"                 // FAPI 2.0 Security Profile
	ProfileMessageSigning Profile = "fapi2-message-signing" // FAPI 2.0 Message Signing, with signed requests
)

var profiles = []string{string(ProfileOIDC), string(ProfileFAPI), string(ProfileMessageSigning)}

// reaches reports whether the profile asks for all that the other one does. None is
// oidc.
func (p Profile) reaches(other Profile) bool {
	return max(0, slices.Index(profiles, string(p))) >= max(0, slices.Index(profiles, string(other)))
}

// fapi reports whether the profile is one of FAPI 2.0.
func (p Profile) fapi() bool { return p.reaches(ProfileFAPI) }

// signingAlgs are the algorithms that a client may sign with (FAPI 2.0 Security
// Profile §5.4).
func (p Profile) signingAlgs() []jose.Alg {
	if p.fapi() {
		return fapiAlgs
	}
	return assertionAlgs
}

var fapiAlgs = []jose.Alg{jose.ES256, jose.PS256, jose.EdDSA}

// settleProfile fills in what the profile decides and the file does not say.
func (c *GroupClient) settleProfile() {
	if !c.Profile.fapi() {
		return
	}
	if c.SenderConstraint == "" {
		c.SenderConstraint = ConstraintDPoP
		if c.Auth.usesCertificate() {
			c.SenderConstraint = ConstraintMTLS
		}
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = string(jose.ES256)
	}
	signsIn := len(c.RedirectURIs) > 0
	if signsIn && c.PAR == "" {
		c.PAR = PARRequired
	}
	if signsIn && c.JAR == "" && c.Profile == ProfileMessageSigning {
		c.JAR = JARRequired
	}
}

// checkProfile checks what a client of a profile of FAPI 2.0 must not say (Security
// Profile §5.3, §5.4).
func (c clientCheck) checkProfile() {
	if !c.Profile.fapi() {
		return
	}
	signsIn := len(c.RedirectURIs) > 0
	if c.Auth != AuthPrivateKeyJWT && !c.Auth.usesCertificate() {
		c.at("profile", string(c.Profile)+" asks a client to prove itself with keys or a certificate, and this one has "+string(c.Auth), "write `auth: private_key_jwt` and its keys, or another profile")
	}
	if c.SenderConstraint == constraintNone {
		c.at("sender_constraint", "the tokens of a client of "+string(c.Profile)+" are bound to a key", "write `sender_constraint: dpop`, or remove it")
	}
	if c.PKCE == pkceOptional {
		c.at("pkce", string(c.Profile)+" asks for PKCE", "remove `pkce:`")
	}
	if c.IDTokenAlg == string(jose.RS256) {
		c.at("id_token_alg", string(c.Profile)+" does not know RS256", "write `id_token_alg: ES256`, or remove it")
	}
	if signsIn && c.PAR != PARRequired {
		c.at("par", string(c.Profile)+" asks for pushed authorization requests", "remove `par:`")
	}
	if signsIn && c.Profile == ProfileMessageSigning && c.JAR != JARRequired {
		c.at("jar", string(c.Profile)+" asks for signed authorization requests", "remove `jar:`")
	}
}

// checkReach checks that a caller of a resource that asks for a profile has a client
// of it: else no call could ever be made.
func (c callCheck) checkReach() {
	wanted := c.to.Resource.Profile
	if !wanted.fapi() {
		return
	}
	for _, client := range c.from.Clients {
		if client != nil && client.Profile.reaches(wanted) {
			return
		}
	}
	c.value(c.path+".to", c.To+" is called with tokens of clients of the profile "+string(wanted)+", and "+c.From+" has none",
		"write `profile: "+string(wanted)+"` on a client of "+c.From)
}
