package registry

import (
	"cmp"
	"errors"
	"time"
)

// Workload is what a client is to a platform that gives its programs tokens, such as
// the service account of a Kubernetes cluster or a SPIFFE identity. The program shows
// such a token as its client assertion (RFC 7523 §2.2) and keeps no secret.
type Workload struct {
	Issuer  string // iss; empty where the platform writes none, as SPIFFE may
	Subject string // sub
}

// workloadLife is how far away the exp of a workload's token may be. The platform gives
// it out for hours, and the program shows it again and again until then.
const workloadLife = 24 * time.Hour

// checkWorkload checks the claims of a workload's token. It is addressed to the issuer
// alone, so that no other service that is shown it can use it here.
func (a *assertion) checkWorkload(workload *Workload, issuer string, now time.Time) error {
	switch {
	case workload.Issuer != "" && a.Issuer != workload.Issuer:
		return errors.New("iss is not the issuer of the workload")
	case a.Subject != workload.Subject:
		return errors.New("sub is not the subject of the workload")
	case len(a.Audience.Audience) != 1 || a.Audience.Audience[0] != issuer:
		return errors.New("aud is not the issuer alone")
	case a.Expires == nil:
		return errors.New("no exp")
	case !now.Before(a.expires()):
		return errors.New("expired")
	case a.expires().After(now.Add(workloadLife)):
		return errors.New("exp is more than a day away")
	case a.NotBefore != nil && numericDate(*a.NotBefore).After(now.Add(assertionAhead)):
		return errors.New("nbf is ahead")
	case a.IssuedAt != nil && numericDate(*a.IssuedAt).After(now.Add(assertionAhead)):
		return errors.New("iat is ahead")
	}
	return nil
}

// checkWorkload checks what the file says of the workload of a client.
func (c clientCheck) checkWorkload() {
	switch {
	case c.Workload == nil:
	case c.Auth != AuthPrivateKeyJWT:
		c.at("workload", "a workload proves itself with a token that its platform has signed", "write `jwks_file:` with the keys of the platform, and no other `auth:`")
	case c.Workload.Subject == "":
		c.at("workload", "has no subject", "write `subject:` as the platform writes it in sub, for example system:serviceaccount:pay:backend")
	case c.Profile.fapi():
		c.at("workload", "a workload shows one token again and again, and "+string(c.Profile)+" asks for an assertion that is made for each request", "remove `profile:`, or prove the client by a certificate")
	case c.JAR == JARRequired:
		c.at("jar", "the keys are the platform's, and cannot sign requests for the client", "remove `jar:`")
	}
}

// words are the subject of a workload and who says so.
func (w *Workload) words() string {
	if w == nil {
		return "no workload"
	}
	return w.Subject + " of " + cmp.Or(w.Issuer, "whoever has these keys")
}

// sameWorkload reports whether two are the same; nil is none.
func sameWorkload(a, b *Workload) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
