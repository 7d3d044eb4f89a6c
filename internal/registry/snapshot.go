package registry

import (
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// Sector is the scope of a pairwise subject. Its ID never changes, and its Gen only
// when it is re-keyed.
type Sector struct {
	Name string
	ID   string
	Gen  int // key generation when the sector was made, or from RekeyedAt on

	Former      int       // its Gen before it was re-keyed; 0: it never was
	RekeyedAt   time.Time // may be a little ahead, so that all processes change at once
	FormerUntil time.Time // so long subjects of before are taken
}

// Subsystem is one member system of the group.
type Subsystem struct {
	Name        string
	DisplayName Text
	Scenario    Scenario
	Sector      Sector
	Resource    *Resource // nil unless Scenario is Service and it has an API
	Clients     []*Client // by id
	Theme       string    // Name of the colours of its pages; empty for those of the group
	Identity    []string  // the identity scopes its clients may ask for, beside openid and offline_access
}

// Resource is the API of a service, or the authorization server's own.
type Resource struct {
	Subsystem *Subsystem // nil for the authorization server itself
	Audience  string
	Scopes    map[string]Text
	Opaque    bool    // access tokens for it are opaque
	Profile   Profile // of the clients that get tokens for it

	names   oauth.Scopes           // the scopes, sorted
	details map[string]*DetailType // by type; nil for none
}

// HasScope reports whether the resource has the scope.
func (r *Resource) HasScope(scope string) bool {
	_, ok := r.Scopes[scope]
	return ok
}

// ScopeNames lists the scopes, sorted. It is shared: do not change it.
func (r *Resource) ScopeNames() oauth.Scopes { return r.names }

// UserScope is a scope of an edge in user context.
type UserScope struct {
	Scope string   `json:"scope"`
	When  []string `json:"when,omitempty"` // only in exchange for a token that holds all of these scopes of the caller
}

// ExchangeOnly reports whether the scope can be had by token exchange alone.
func (u UserScope) ExchangeOnly() bool { return len(u.When) > 0 }

// Met reports whether a subject token with these scopes lets the scope pass.
func (u UserScope) Met(subject oauth.Scopes) bool { return subject.HasAll(u.When) }

// Edge says what one subsystem may do at the resource of another. There is at
// most one edge from a subsystem to another.
type Edge struct {
	From             *Subsystem
	To               *Subsystem
	User             []UserScope // by scope
	Service          []string    // sorted
	ThirdPartyChains bool        // chains begun by a third party may pass
	Bound            bool        // tokens for it are bound to a key
	RequireGrant     bool        // subjects are converted only for people who have a grant at From
}

// UserScope finds a scope of the edge in user context.
func (e *Edge) UserScope(scope string) (UserScope, bool) {
	for i := range e.User {
		if e.User[i].Scope == scope {
			return e.User[i], true
		}
	}
	return UserScope{}, false
}

// ServiceScope reports whether the edge has the scope in service context.
func (e *Edge) ServiceScope(scope string) bool { return slices.Contains(e.Service, scope) }

// Snapshot is the group at one moment, linked and indexed. It is immutable, and
// its look-ups allocate nothing.
type Snapshot struct {
	Revision int64  // of the document it was built from; 0 while no group was applied
	Realm    string // random id of this installation, immutable
	Name     Text   // of the group
	Theme    string // Name of the colours of the pages; empty for the usual ones
	Issuer   string // empty while no group was applied

	providers  []*Provider          // by name
	legacy     map[string][]*Legacy // by name of the service
	self       *Resource
	clients    map[string]*Client
	subsystems map[string]*Subsystem
	sorted     []*Subsystem
	resources  map[string]*Resource // by audience
	scopes     map[string][]*Resource
	edges      map[[2]string]*Edge // by names, so that a subsystem of an older snapshot finds its edges too
	from       map[string][]*Edge
	to         map[string][]*Edge
	events     map[string]*Event   // by URI
	published  map[string][]*Event // by name of the publisher
	received   map[string][]*Event // by name of the receiver
}

// Client finds a client by its id.
func (s *Snapshot) Client(id string) (*Client, bool) {
	client, ok := s.clients[id]
	return client, ok
}

// Subsystem finds a subsystem by its name.
func (s *Snapshot) Subsystem(name string) (*Subsystem, bool) {
	subsystem, ok := s.subsystems[name]
	return subsystem, ok
}

// Subsystems lists all subsystems by name. It is shared: do not change it.
func (s *Snapshot) Subsystems() []*Subsystem { return s.sorted }

// ResourceByAudience finds a resource; the issuer is the audience of the
// authorization server itself.
func (s *Snapshot) ResourceByAudience(audience string) (*Resource, bool) {
	resource, ok := s.resources[audience]
	return resource, ok
}

// Self is the authorization server as a resource: audience is the issuer,
// scopes are openid, the identity scopes, offline_access, subjects:convert and
// those for events.
func (s *Snapshot) Self() *Resource { return s.self }

// ResourcesWithScope lists the resources that have a scope, by audience. It is
// shared: do not change it.
func (s *Snapshot) ResourcesWithScope(scope string) []*Resource { return s.scopes[scope] }

// Edge finds the edge from one subsystem to the resource of another.
func (s *Snapshot) Edge(from, to *Subsystem) (*Edge, bool) {
	edge, ok := s.edges[[2]string{from.Name, to.Name}]
	return edge, ok
}

// EdgesFrom lists the edges along which a subsystem calls, by callee. It is
// shared: do not change it.
func (s *Snapshot) EdgesFrom(from *Subsystem) []*Edge { return s.from[from.Name] }

// EdgesTo lists the edges along which a subsystem is called, by caller. It is
// shared: do not change it.
func (s *Snapshot) EdgesTo(to *Subsystem) []*Edge { return s.to[to.Name] }

// MaySignIn reports whether a client may ask for a scope of the authorization
// server itself when it signs a person in.
func (s *Snapshot) MaySignIn(client *Client, scope string) bool {
	switch scope {
	case oauth.ScopeOpenID, oauth.ScopeOfflineAccess:
		return len(client.RedirectURIs) > 0
	default:
		return len(client.RedirectURIs) > 0 && slices.Contains(client.Subsystem.Identity, scope)
	}
}

// MayReissue reports whether a client may have subjects:reissue: confidential, may
// act for itself, and its sector was re-keyed.
func (s *Snapshot) MayReissue(client *Client) bool {
	return !client.Public() && client.Subsystem.Scenario.AllowsClientCredentials() && client.Subsystem.Sector.Former > 0
}

// MayConvert reports whether a client may have subjects:convert: confidential,
// of a service.
func (s *Snapshot) MayConvert(client *Client) bool {
	return !client.Public() && client.Subsystem.Scenario.AllowsConversion()
}
