package registry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// Defaults of a client.
const (
	pkceRequired = "required"
	pkceOptional = "optional"

	acrOne = "aal1"

	assertionsOnce           = "once"
	assertionsOncePerReplica = "once_per_replica"

	rateConfidential = 2000 // of the group's own
	rateOther        = 50   // public ones and those of third parties
	burstFactor      = 4
)

// PARRequired says of a client that it must push its authorization requests,
// JARRequired that it must sign them.
const (
	PARRequired = "required"
	parOptional = "optional"
	JARRequired = "required"
	jarOptional = "optional"
)

// Ways in which the tokens of a client are bound to a key of its own.
const (
	constraintNone      = "none"
	ConstraintDPoP      = "dpop"
	constraintDPoPNonce = "dpop_with_nonce"
	ConstraintMTLS      = "mtls"
)

// clientID joins the names. The dot, which neither a name nor a pairwise
// subject has, keeps the two kinds of sub apart (RFC 9068 §5).
func clientID(subsystem, client string) string { return subsystem + "." + client }

// sectorName is the name of a subsystem's sector: its own unless pinned.
func (g *Group) sectorName(subsystem string) string {
	if sector := g.Subsystems[subsystem].Sector; sector != "" {
		return sector
	}
	return subsystem
}

// settle fills in every default, so that a document says the same for ever,
// whatever the defaults of a later release are. Settling twice changes nothing.
func (g *Group) settle() {
	for name, provider := range g.Providers {
		if provider != nil {
			provider.settle(name)
		}
	}
	for name, subsystem := range g.Subsystems {
		if subsystem == nil {
			continue
		}
		if subsystem.Name == (Text{}) {
			subsystem.Name = Text{En: name}
		}
		for _, client := range subsystem.Clients {
			if client != nil {
				client.settle(subsystem.Scenario)
			}
		}
	}
}

func (c *GroupClient) settle(scenario Scenario) {
	if c.Type == "" {
		c.Type = TypeWeb
		if len(c.RedirectURIs) == 0 {
			c.Type = TypeBackend
		}
	}
	if c.Auth == "" {
		c.Auth = c.likelyAuth(scenario)
	}
	c.settleProfile()
	if c.PKCE == "" {
		c.PKCE = pkceRequired
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = string(jose.RS256)
	}
	if c.Rate == 0 {
		c.Rate = rateOther
		if scenario.FirstParty() && c.Auth != AuthNone {
			c.Rate = rateConfidential
		}
	}
	if c.Type == TypeSPA && c.Auth == AuthNone && len(c.CORSOrigins) == 0 {
		c.CORSOrigins = origins(c.RedirectURIs)
	}
}

// likelyAuth is the method that fits what the client has to prove itself with;
// empty where it has nothing and its scenario wants something.
func (c *GroupClient) likelyAuth(scenario Scenario) AuthMethod {
	switch {
	case len(c.Secrets) > 0 || c.SecretFile != "":
		return AuthSecretBasic
	case len(c.JWKS) > 0 || c.JWKSFile != "":
		return AuthPrivateKeyJWT
	case scenario.AllowsPublicClients():
		return AuthNone
	default:
		return ""
	}
}

// origins lists the http origins of URIs, each once.
func origins(uris []string) []string {
	var list []string
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" {
			continue
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(list, origin) {
			list = append(list, origin)
		}
	}
	return list
}

// finish does what would hide places of the file while faults are looked for:
// it brings everything whose order has no meaning into one order, so that equal
// groups are equal documents, and forgets where secrets and keys were read.
func (g *Group) finish() {
	for name, subsystem := range g.Subsystems {
		if subsystem.Sector == name {
			subsystem.Sector = "" // it says what goes without saying
		}
		slices.Sort(subsystem.Identity)
		if subsystem.Resource != nil {
			for _, detail := range subsystem.Resource.Details {
				detail.Schema.RawMessage, detail.SchemaFile = compactJSON(detail.Schema.RawMessage), ""
			}
		}
		for _, client := range subsystem.Clients {
			slices.Sort(client.Secrets)
			slices.Sort(client.RedirectURIs)
			slices.Sort(client.PostLogoutRedirectURIs)
			slices.Sort(client.CORSOrigins)
			client.JWKS = compactJSON(client.JWKS)
			client.SecretFile, client.JWKSFile = "", "" // what was in them is above
		}
	}
	for _, legacy := range g.Legacy {
		legacy.finish()
	}
	for i := range g.Calls {
		call := &g.Calls[i]
		if g.Subsystems[call.From].Scenario == ThirdParty {
			call.RequireGrant = true // of nobody who never used it an outsider learns a thing
		}
		slices.Sort(call.Service)
		for _, user := range call.User {
			slices.Sort(user.When)
		}
		slices.SortFunc(call.User, func(a, b GroupUser) int { return strings.Compare(a.Scope, b.Scope) })
	}
	for i := range g.Events {
		slices.Sort(g.Events[i].Types)
		slices.Sort(g.Events[i].Receivers)
	}
	slices.SortFunc(g.Events, func(a, b GroupEvent) int {
		return cmp.Or(strings.Compare(a.Publisher, b.Publisher), slices.Compare(a.Types, b.Types), slices.Compare(a.Receivers, b.Receivers))
	})
	for _, pair := range g.NeverLink {
		slices.Sort(pair)
	}
	slices.SortFunc(g.NeverLink, slices.Compare)
	slices.SortFunc(g.Calls, func(a, b GroupCall) int {
		if order := strings.Compare(a.From, b.From); order != 0 {
			return order
		}
		return strings.Compare(a.To, b.To)
	})
}

// compactJSON drops white space; what is no JSON is left as it is.
func compactJSON(data json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(data) == 0 || json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}
