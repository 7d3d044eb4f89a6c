package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// GroupLegacy is one kind of token of a system that was there before: JWTs of one issuer
// for one audience, which the service that is called with them may exchange.
type GroupLegacy struct {
	Issuer   string              `json:"issuer" jsonschema:"description=iss of the tokens."`
	Audience string              `json:"audience" jsonschema:"description=aud of the tokens\\, or one of several."`
	From     string              `json:"from" jsonschema:"description=The client in whose place the tokens stand\\, as in market-app.ios: its edges hold for them."`
	To       string              `json:"to" jsonschema:"description=The service that is called with them."`
	Scopes   map[string][]string `json:"scopes" jsonschema:"description=What each scope of the tokens stands for: scopes of the service that the edge gives. What is not here counts nothing."`
	Until    string              `json:"until" jsonschema:"description=The last day on which they are taken (UTC)\\, as in 2027-03-31."`
	JWKS     json.RawMessage     `json:"jwks,omitempty" jsonschema:"description=Public keys of the issuer (RFC 7517)."`
	JWKSFile string              `json:"jwks_file,omitempty" jsonschema:"description=File that holds the public keys of the issuer (RFC 7517)."`
}

// Legacy is one kind of token of a system that was there before.
type Legacy struct {
	Name     string
	Issuer   string
	Audience string
	Client   *Client // in whose place they stand
	To       *Subsystem
	Scopes   map[string][]string
	Until    time.Time // from then on they are refused

	keys *jose.JWKS
}

// Verify gives the claims of a token that the issuer has signed. What they say is for the
// caller to check.
func (l *Legacy) Verify(token string) (claims []byte, header jose.Header, err error) {
	return l.keys.Verify(token, assertionAlgs)
}

// Legacy lists the tokens of before that a service may be called with, by name.
func (s *Snapshot) Legacy(to *Subsystem) []*Legacy { return s.legacy[to.Name] }

func (b *builder) addLegacy() error {
	for _, name := range sortedKeys(b.group.Legacy) {
		declared := b.group.Legacy[name]
		client, to := b.snapshot.clients[declared.From], b.snapshot.subsystems[declared.To]
		if client == nil || to == nil {
			return fmt.Errorf("legacy tokens %s: no client %s, or no subsystem %s", name, declared.From, declared.To)
		}
		keys, err := jose.ParseJWKS(declared.JWKS)
		if err != nil {
			return fmt.Errorf("legacy tokens %s: %w", name, err)
		}
		until, err := time.Parse(time.DateOnly, declared.Until)
		if err != nil {
			return fmt.Errorf("legacy tokens %s: %w", name, err)
		}
		b.snapshot.legacy[to.Name] = append(b.snapshot.legacy[to.Name], &Legacy{
			Name: name, Issuer: declared.Issuer, Audience: declared.Audience, Client: client, To: to,
			Scopes: declared.Scopes, Until: until.AddDate(0, 0, 1), keys: keys,
		})
	}
	return nil
}

// finish brings it into one order, and forgets where the keys were read.
func (l *GroupLegacy) finish() {
	for _, scopes := range l.Scopes {
		slices.Sort(scopes)
	}
	l.JWKS, l.JWKSFile = compactJSON(l.JWKS), ""
}

func (c checker) checkLegacy() {
	seen := map[[3]string]string{}
	for _, name := range sortedKeys(c.group.Legacy) {
		path := below("legacy_tokens", name)
		c.checkName(path, name, "a kind of legacy tokens")
		l := c.group.Legacy[name]
		if l == nil {
			c.lose(path, "has no value", "write its `issuer:`, `audience:`, `from:`, `to:`, `scopes:` and `until:`")
			continue
		}
		if what, hint := uriFault(l.Issuer, providerUse); what != "" {
			c.value(path+".issuer", quote(l.Issuer)+" "+what, hint)
		} else if l.Issuer == c.group.Issuer {
			c.value(path+".issuer", "is the issuer of this group itself", "its tokens are exchanged anyway")
		}
		if l.Audience == "" {
			c.value(path+".audience", "is missing: a token for somebody else would do", "write the aud of the tokens")
		}
		if _, err := time.Parse(time.DateOnly, l.Until); err != nil {
			c.value(path+".until", quote(l.Until)+" is no day", "write the last day on which they are taken, as in 2027-03-31")
		}
		if len(l.JWKS) == 0 && l.JWKSFile == "" {
			c.value(path+".jwks_file", "is missing", "write the file with the public keys of the issuer")
		} else if len(l.JWKS) > 0 {
			if _, err := jose.ParseJWKS(l.JWKS); err != nil {
				c.value(path+".jwks", "is no set of public keys that can be used: "+err.Error(), "write the issuer's keys as RFC 7517 has them")
			}
		}
		c.checkLegacyScopes(path, l)
		key := [3]string{l.Issuer, l.Audience, l.To}
		if other, twice := seen[key]; twice {
			c.value(path, "is the same as "+other+": one issuer, audience and service", "remove one of them")
		}
		seen[key] = name
	}
}

// checkLegacyScopes checks that tokens of before can do no more than those that a client
// gets here.
func (c checker) checkLegacyScopes(path string, l *GroupLegacy) {
	subsystem, short, _ := strings.Cut(l.From, ".")
	from := c.group.Subsystems[subsystem]
	if from == nil || from.Clients[short] == nil {
		c.value(path+".from", quote(l.From)+" is no client of the file", "write the client that people used, as in market-app.ios")
		return
	}
	to := c.group.Subsystems[l.To]
	if to == nil || to.Resource == nil {
		c.value(path+".to", quote(l.To)+" is no service with an API", "write the service that is called with the tokens")
		return
	}
	if to.Resource.Profile.fapi() {
		c.value(path+".to", l.To+" takes tokens only that are bound to a key, and these cannot be shown to be", "remove them, or its `profile:`")
	}
	given := map[string]bool{}
	for _, call := range c.group.Calls {
		if call.From != subsystem || call.To != l.To {
			continue
		}
		if call.Bound {
			c.value(path, "the call from "+subsystem+" to "+l.To+" is `bound`, and these tokens cannot be shown to be", "remove them, or `bound:`")
		}
		for _, user := range call.User {
			given[user.Scope] = len(user.When) == 0
		}
	}
	for _, detail := range to.Resource.Details {
		given[detail.Scope] = false // it is given together with details alone, which these tokens have not
	}
	if len(l.Scopes) == 0 {
		c.value(path+".scopes", "is missing: the tokens could do nothing", "write what their scopes stand for, as in { read: [items.read] }")
	}
	for _, scope := range sortedKeys(l.Scopes) {
		for _, means := range l.Scopes[scope] {
			if !given[means] {
				c.value(below(path+".scopes", scope), fmt.Sprintf("the call from %s to %s does not give %s to a person outright", subsystem, l.To, quote(means)), "declare it under `calls:`, or remove it here")
			}
		}
	}
}

func (d differ) diffLegacy() {
	for _, name := range union(d.old.Legacy, d.new.Legacy) {
		before, after := d.old.Legacy[name], d.new.Legacy[name]
		switch {
		case before == nil:
			d.gain(after.To, "%s may exchange tokens of %s for %s, as if %s had come, until the end of %s (%s).", after.To, after.Issuer, after.Audience, after.From, after.Until, name)
			continue
		case after == nil:
			d.loss(before.To, "%s may no longer exchange tokens of %s for %s (%s).", before.To, before.Issuer, before.Audience, name)
			continue
		case before.Until < after.Until:
			d.gain(after.To, "Legacy tokens %s are taken until the end of %s (was %s).", name, after.Until, before.Until)
		case before.Until > after.Until:
			d.loss(after.To, "Legacy tokens %s are taken only until the end of %s (was %s).", name, after.Until, before.Until)
		}
		one, other := *before, *after
		one.Until, other.Until = "", ""
		was, _ := json.Marshal(one)
		is, _ := json.Marshal(other)
		if !bytes.Equal(was, is) {
			d.other(after.To, "What legacy tokens %s are, or stand for, changes: issuer %s, audience %s, as if %s had come to %s.", name, after.Issuer, after.Audience, after.From, after.To)
		}
	}
}
