package registry

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/sekisho-id/sekisho/internal/jose"
)

func (d differ) diffClient(id string, before, after *GroupClient) {
	switch {
	case before == nil:
		d.gain(id, "%s", comes(id, after))
		d.diffPlaces(id, new(GroupClient), after)
		return
	case after == nil:
		d.loss(id, "The client %s is removed: it gets no more tokens and its sign-ins end; access tokens it still holds run out within minutes.", id)
		d.plan.removedClients = append(d.plan.removedClients, id)
		return
	}
	if before.Type != after.Type {
		d.other(id, "%s is of type %s (was %s).", id, after.Type, before.Type)
	}
	if was, is := cmp.Or(before.Profile, ProfileOIDC), cmp.Or(after.Profile, ProfileOIDC); was != is {
		d.other(id, "%s has the profile %s (was %s).", id, is, was)
	}
	d.diffProof(id, before, after)
	d.diffPlaces(id, before, after)
	if before.PKCE != after.PKCE {
		d.other(id, "PKCE is %s for %s (was %s).", after.PKCE, id, before.PKCE)
	}
	if was, is := cmp.Or(before.PAR, parOptional), cmp.Or(after.PAR, parOptional); was != is {
		d.other(id, "Pushed authorization requests are %s for %s (were %s).", is, id, was)
	}
	if was, is := cmp.Or(before.JAR, jarOptional), cmp.Or(after.JAR, jarOptional); was != is {
		d.other(id, "Signed authorization requests are %s for %s (were %s).", is, id, was)
	}
	if was, is := cmp.Or(before.SenderConstraint, constraintNone), cmp.Or(after.SenderConstraint, constraintNone); was != is {
		d.other(id, "Tokens of %s %s (before: %s).", id, constraintWords[is], constraintWords[was])
	}
	if was, is := cmp.Or(before.ACR, acrOne), cmp.Or(after.ACR, acrOne); was != is {
		d.other(id, "People sign in to %s with %s at least (was %s).", id, is, was)
	}
	if before.IDTokenAlg != after.IDTokenAlg {
		d.other(id, "ID tokens for %s are signed with %s (were with %s).", id, after.IDTokenAlg, before.IDTokenAlg)
	}
	if was, is := cmp.Or(before.Assertions, assertionsOnce), cmp.Or(after.Assertions, assertionsOnce); was != is {
		d.other(id, "Assertions of %s are taken %s (were %s).", id, strings.ReplaceAll(is, "_", " "), strings.ReplaceAll(was, "_", " "))
	}
	if before.FormerSubject != after.FormerSubject {
		d.other(id, "%s %s told the former subject after its sector was re-keyed.", id, map[bool]string{true: "is", false: "is no longer"}[after.FormerSubject])
	}
	switch {
	case before.Rate < after.Rate:
		d.gain(id, "%s may ask for %d tokens a second (was %d).", id, after.Rate, before.Rate)
	case before.Rate > after.Rate:
		d.loss(id, "%s may ask for %d tokens a second only (was %d).", id, after.Rate, before.Rate)
	}
	if before.BackChannelLogoutSession != after.BackChannelLogoutSession {
		d.other(id, "%s says of itself whether it must be told which session ended; it always is.", id)
	}
	if before.Name != after.Name {
		d.other(id, "%s is called %s (was %s).", id, words(after.Name), words(before.Name))
	}
}

// constraintWords say what becomes of the tokens of a client.
var constraintWords = map[string]string{
	constraintNone:      "need not be bound to a key",
	ConstraintDPoP:      "are bound to a key that it proves to hold (DPoP)",
	ConstraintMTLS:      "are bound to the certificate that it presents (mTLS)",
	constraintDPoPNonce: "are bound to a key that it proves to hold (DPoP) with a nonce of this server",
}

// diffRegistered says what becomes of clients that a subsystem registered itself
// and may no longer have.
func (d differ) diffRegistered(name string) {
	ids := d.registered[name]
	if len(ids) == 0 || d.new.opensRegistration(name) {
		return
	}
	d.loss(name, "%s loses %s that it registered itself: they get no more tokens and their sign-ins end; access tokens they still hold run out within minutes. They do not come back.",
		name, count(len(ids), "client", "clients"))
	d.plan.removedClients = append(d.plan.removedClients, ids...)
}

// comes says what a new client is and what can be told of it at once.
func comes(id string, c *GroupClient) string {
	proof := "proves itself with " + string(c.Auth)
	if c.Auth == AuthNone {
		proof = "is public"
	}
	sentence := fmt.Sprintf("The client %s of type %s is new; it %s", id, c.Type, proof)
	if c.Profile.fapi() {
		sentence += ", has the profile " + string(c.Profile)
	}
	if c.PAR == PARRequired {
		sentence += ", must push its authorization requests"
	}
	if c.JAR == JARRequired {
		sentence += ", must sign its authorization requests"
	}
	if constraint := cmp.Or(c.SenderConstraint, constraintNone); constraint != constraintNone {
		sentence += ", has tokens that " + constraintWords[constraint]
	}
	if c.ACR != "" && c.ACR != acrOne {
		sentence += ", has people sign in with " + c.ACR + " at least"
	}
	if c.PKCE == pkceOptional {
		sentence += ", need not send PKCE"
	}
	return fmt.Sprintf("%s and may ask for %d tokens a second.", sentence, c.Rate)
}

// diffProof compares how a client proves to be itself. Hashes are not shown:
// nobody can read anything from them.
func (d differ) diffProof(id string, before, after *GroupClient) {
	if before.Auth != after.Auth {
		d.other(id, "%s proves itself with %s (was %s): the old way is refused.", id, after.Auth, before.Auth)
	}
	if more := missing(after.Secrets, before.Secrets); len(more) > 0 {
		d.gain(id, "%s may use %s.", id, count(len(more), "more secret", "more secrets"))
	}
	if less := missing(before.Secrets, after.Secrets); len(less) > 0 {
		d.loss(id, "%s may no longer use %s: programs that still have the old one are refused.", id, count(len(less), "of its secrets", "of its secrets"))
	}
	if names := [2]CertificateName{certificateName(before), certificateName(after)}; names[0] != names[1] {
		d.other(id, "%s is known in its certificate as %s (was %s).", id, names[1].words(), names[0].words())
	}
	if more := missing(after.Certificates, before.Certificates); len(more) > 0 {
		d.gain(id, "%s may use %s.", id, count(len(more), "more certificate", "more certificates"))
	}
	if less := missing(before.Certificates, after.Certificates); len(less) > 0 {
		d.loss(id, "%s may no longer use %s.", id, count(len(less), "of its certificates", "of its certificates"))
	}
	if was, is := (*Workload)(before.Workload), (*Workload)(after.Workload); !sameWorkload(was, is) {
		d.other(id, "%s is %s (was %s).", id, is.words(), was.words())
	}
	if !bytes.Equal(before.JWKS, after.JWKS) {
		d.other(id, "The keys of %s are %s (were %s).", id, keysIn(after), keysIn(before))
	}
}

// keysIn names the keys of a client.
func keysIn(c *GroupClient) string {
	if len(c.JWKS) == 0 {
		return "none"
	}
	keys, err := jose.ParseJWKS(c.JWKS)
	if err != nil {
		return "unreadable"
	}
	ids := keys.KeyIDs()
	for i, id := range ids {
		if id == "" {
			ids[i] = "one without a name"
		}
	}
	return list(ids, "and")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// diffPlaces compares the addresses of a client.
func (d differ) diffPlaces(id string, before, after *GroupClient) {
	for _, uri := range missing(after.RedirectURIs, before.RedirectURIs) {
		d.gain(id, "%s may sign people in and have them return to %s.", id, uri)
	}
	for _, uri := range missing(before.RedirectURIs, after.RedirectURIs) {
		d.loss(id, "%s may no longer have people return to %s.", id, uri)
	}
	for _, uri := range missing(after.PostLogoutRedirectURIs, before.PostLogoutRedirectURIs) {
		d.gain(id, "%s may have people return to %s after sign-out.", id, uri)
	}
	for _, uri := range missing(before.PostLogoutRedirectURIs, after.PostLogoutRedirectURIs) {
		d.loss(id, "%s may no longer have people return to %s after sign-out.", id, uri)
	}
	for _, origin := range missing(after.CORSOrigins, before.CORSOrigins) {
		d.gain(id, "%s may ask for tokens from pages of %s.", id, origin)
	}
	for _, origin := range missing(before.CORSOrigins, after.CORSOrigins) {
		d.loss(id, "%s may no longer ask for tokens from pages of %s.", id, origin)
	}
	pages := []struct{ key, was, is string }{
		{"client_uri", before.ClientURI, after.ClientURI},
		{"logo_uri", before.LogoURI, after.LogoURI},
		{"policy_uri", before.PolicyURI, after.PolicyURI},
		{"tos_uri", before.TOSURI, after.TOSURI},
		{"initiate_login_uri", before.InitiateLoginURI, after.InitiateLoginURI},
		{"backchannel_logout_uri", before.BackChannelLogoutURI, after.BackChannelLogoutURI},
	}
	for _, page := range pages {
		switch {
		case page.was == page.is:
		case page.is == "":
			d.other(id, "%s has no %s any more (was %s).", id, page.key, page.was)
		case page.was == "":
			d.other(id, "The %s of %s is %s.", page.key, id, page.is)
		default:
			d.other(id, "The %s of %s is %s (was %s).", page.key, id, page.is, page.was)
		}
	}
}
