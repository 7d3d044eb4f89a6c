package registry

import (
	"fmt"
	"slices"
	"strings"
)

// maxProviders is how many providers fit on a sign-in page.
const maxProviders = 8

// GroupProvider is an OpenID provider of somebody else, at which people may sign in.
// The secret that it knows this server by stands in no group file.
type GroupProvider struct {
	Name         Text        `json:"name,omitzero" jsonschema:"description=What people call it\\, as in Google. Default: its name here."`
	Issuer       string      `json:"issuer" jsonschema:"description=Its issuer\\, under which its metadata is found (OpenID Connect Discovery)\\, as in https://accounts.google.com."`
	ClientID     string      `json:"client_id" jsonschema:"description=What it calls this server."`
	Scopes       []string    `json:"scopes,omitempty" jsonschema:"description=What is asked for beside openid. Default: email and profile."`
	TrustEmail   bool        `json:"trust_email,omitempty" jsonschema:"description=An address that it calls verified is taken for verified: a person who has an account with it may connect the two. Default: no."`
	ResponseMode string      `json:"response_mode,omitempty" jsonschema:"enum=query,enum=form_post,description=How it sends people back. Default: query; form_post for Apple."`
	Apple        *GroupApple `json:"apple,omitempty" jsonschema:"description=For Sign in with Apple\\, where the secret is signed with a key of the team."`
}

// GroupApple is what Apple knows a developer by.
type GroupApple struct {
	Team string `json:"team" jsonschema:"description=Team ID."`
	Key  string `json:"key" jsonschema:"description=Key ID of the private key."`
}

// Provider is an OpenID provider of somebody else, at which people may sign in.
type Provider struct {
	Name        string
	DisplayName Text
	Issuer      string
	ClientID    string
	Scopes      []string // openid among them
	TrustEmail  bool     // an address that it calls verified is taken for verified
	FormPost    bool     // it sends people back by a form
	Apple       *GroupApple
}

// Providers lists where people may sign in beside here, by name. It is shared: do not
// change it.
func (s *Snapshot) Providers() []*Provider { return s.providers }

// Provider finds a provider by its name.
func (s *Snapshot) Provider(name string) (*Provider, bool) {
	at := slices.IndexFunc(s.providers, func(p *Provider) bool { return p.Name == name })
	if at < 0 {
		return nil, false
	}
	return s.providers[at], true
}

func (b *builder) addProviders() {
	for _, name := range sortedKeys(b.group.Providers) {
		declared := b.group.Providers[name]
		b.snapshot.providers = append(b.snapshot.providers, &Provider{
			Name: name, DisplayName: declared.Name, Issuer: declared.Issuer, ClientID: declared.ClientID,
			Scopes: append([]string{"openid"}, declared.Scopes...), TrustEmail: declared.TrustEmail,
			FormPost: declared.ResponseMode == "form_post", Apple: declared.Apple,
		})
	}
}

// settle fills in what goes without saying.
func (p *GroupProvider) settle(name string) {
	if p.Name == (Text{}) {
		p.Name = Text{En: name}
	}
	if p.Scopes == nil {
		p.Scopes = []string{"email", "profile"}
		if p.Apple != nil {
			p.Scopes = []string{"email"}
		}
	}
	if p.ResponseMode == "" {
		p.ResponseMode = "query"
		if p.Apple != nil {
			p.ResponseMode = "form_post"
		}
	}
}

func (c checker) checkProviders() {
	issuers := map[string]string{}
	for _, name := range sortedKeys(c.group.Providers) {
		path := below("providers", name)
		c.checkName(path, name, "a provider")
		p := c.group.Providers[name]
		if p == nil {
			c.lose(path, "has no value", "write its `issuer:` and the `client_id:` that it gave this server")
			continue
		}
		c.checkText(path+".name", p.Name)
		c.checkProvider(path, p)
		if other, twice := issuers[p.Issuer]; twice && p.Issuer != "" {
			c.value(path+".issuer", fmt.Sprintf("%s has the same issuer: people are known by it", other), "remove one of them")
		}
		issuers[p.Issuer] = name
	}
	if len(issuers) > maxProviders {
		c.value("providers", fmt.Sprintf("are more than %d: nobody finds theirs on the page", maxProviders), "keep those that people use")
	}
}

func (c checker) checkProvider(path string, p *GroupProvider) {
	if p.Issuer == "" {
		c.value(path+".issuer", "is missing", "write its issuer, as in https://accounts.google.com")
	} else if what, hint := uriFault(p.Issuer, providerUse); what != "" {
		c.value(path+".issuer", quote(p.Issuer)+" "+what, hint)
	} else if p.Issuer == c.group.Issuer {
		c.value(path+".issuer", "is the issuer of this group itself", "remove the provider: people sign in here anyway")
	}
	if p.ClientID == "" || len(p.ClientID) > 256 || strings.ContainsFunc(p.ClientID, unseen) {
		c.value(path+".client_id", "is missing, or is none", "write what the provider calls this server")
	}
	for i, scope := range p.Scopes {
		if scope == "openid" || scope == "" || strings.ContainsAny(scope, " \"\\") || strings.ContainsFunc(scope, unseen) {
			c.value(fmt.Sprintf("%s.scopes[%d]", path, i), quote(scope)+" is not to be written here", "write one scope in each item; openid is always asked for")
		}
	}
	if mode := p.ResponseMode; mode != "query" && mode != "form_post" {
		c.value(path+".response_mode", quote(mode)+" is none that is understood here", "write query or form_post")
	}
	if p.Apple != nil && (p.Apple.Team == "" || p.Apple.Key == "") {
		c.value(path+".apple", "needs the team and the key", "write `apple: { team: TEAMID, key: KEYID }`")
	}
}

func (d differ) diffProviders() {
	for _, name := range union(d.old.Providers, d.new.Providers) {
		before, after := d.old.Providers[name], d.new.Providers[name]
		switch {
		case before == nil:
			d.gain("providers", "People may sign in with %s, %s (issuer %s).", name, words(after.Name), after.Issuer)
			if after.TrustEmail {
				d.gain("providers", "Addresses that %s calls verified are taken for verified.", name)
			}
			continue
		case after == nil:
			d.loss("providers", "People may no longer sign in with %s (issuer %s). What they connected is kept.", name, before.Issuer)
			continue
		}
		if before.Issuer != after.Issuer {
			d.other("providers", "%s is the issuer %s (was %s): who signed in with the old one must sign in in another way.", name, after.Issuer, before.Issuer)
		}
		if before.TrustEmail != after.TrustEmail {
			if after.TrustEmail {
				d.gain("providers", "Addresses that %s calls verified are taken for verified.", name)
			} else {
				d.loss("providers", "Addresses that %s calls verified are no longer taken for verified.", name)
			}
		}
		if before.Name != after.Name {
			d.other("providers", "%s is called %s (was %s).", name, words(after.Name), words(before.Name))
		}
		if before.ClientID != after.ClientID {
			d.other("providers", "%s calls this server %s (was %s).", name, after.ClientID, before.ClientID)
		}
		if !slices.Equal(before.Scopes, after.Scopes) {
			d.other("providers", "%s is asked for %s (was %s).", name, list(after.Scopes, "and"), list(before.Scopes, "and"))
		}
		if before.ResponseMode != after.ResponseMode || !sameApple(before.Apple, after.Apple) {
			d.other("providers", "How %s is spoken with changes.", name)
		}
	}
}

func sameApple(a, b *GroupApple) bool {
	return a == b || a != nil && b != nil && *a == *b
}
