package registry

import (
	"errors"
	"net/url"
	"strings"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// check holds what a client declares of itself against the rules of the group
// file, and a few narrower ones: nobody of the group has read it. The error is
// Faults, whose paths are the keys of the client.
func (r Registered) check() error {
	const path = "client"
	report := newReport("", "")
	check := clientCheck{
		checker: checker{report: report}, GroupClient: r.Declared, path: path, id: r.ID,
		subsystem: r.Subsystem, scenario: ThirdParty, registered: true,
	}
	check.checkKeys()
	if r.Declared.Auth != AuthPrivateKeyJWT {
		r.Declared.JWKS = nil // good, and without use here: nothing is encrypted
	}
	check.checkAll()
	faults, err := Faults(nil), report.all()
	if !errors.As(err, &faults) {
		return err
	}
	for i := range faults {
		faults[i].Path = strings.TrimPrefix(faults[i].Path, path+".")
	}
	return faults
}

// checkReached checks an address at which we, or a page of others, open
// something at a registered client. Loopback is for development, where clients
// are declared.
func (c clientCheck) checkReached(key, uri string) {
	if u, err := url.Parse(uri); uri != "" && err == nil && u.Scheme != "https" {
		c.at(key, "is not https", "write an https URI") // OIDC Core §4
	}
}

// keepPublic leaves of a key set what its keys are made of.
func keepPublic(set []byte) []byte {
	keys, err := jose.ParseJWKS(set)
	if err != nil {
		return set // and the fault is found
	}
	kept, err := keys.MarshalJSON()
	if err != nil {
		return set
	}
	return kept
}
