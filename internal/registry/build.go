package registry

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/oauth"
)

// builder links a declared group into a snapshot.
type builder struct {
	group      *Group
	sectors    map[string]Sector
	registered []Registered
	snapshot   *Snapshot
}

// build makes the snapshot of a checked group with the clients registered in
// it; of nil, an empty one.
func build(group *Group, sectors map[string]Sector, registered []Registered) (*Snapshot, error) {
	s := &Snapshot{
		clients:    map[string]*Client{},
		subsystems: map[string]*Subsystem{},
		resources:  map[string]*Resource{},
		scopes:     map[string][]*Resource{},
		edges:      map[[2]string]*Edge{},
		from:       map[string][]*Edge{},
		to:         map[string][]*Edge{},
		events:     map[string]*Event{},
		published:  map[string][]*Event{},
		received:   map[string][]*Event{},
		legacy:     map[string][]*Legacy{},
	}
	s.self = serverResource()
	if group == nil {
		return s, nil
	}
	s.Name, s.Issuer, s.self.Audience = group.Name, group.Issuer, group.Issuer
	s.Theme = group.Theme.Name()
	b := &builder{group: group, sectors: sectors, registered: registered, snapshot: s}
	b.addResource(s.self)
	for _, name := range sortedKeys(group.Subsystems) {
		if err := b.addSubsystem(name); err != nil {
			return nil, fmt.Errorf("subsystem %s: %w", name, err)
		}
	}
	b.addProviders()
	if err := b.addLegacy(); err != nil {
		return nil, err
	}
	for _, call := range group.Calls {
		if err := b.addEdge(call); err != nil {
			return nil, fmt.Errorf("call from %s to %s: %w", call.From, call.To, err)
		}
	}
	for _, declared := range group.Events {
		if err := b.addEvents(declared); err != nil {
			return nil, fmt.Errorf("events of %s: %w", declared.Publisher, err)
		}
	}
	b.sortEvents()
	for _, resources := range s.scopes {
		slices.SortFunc(resources, func(a, b *Resource) int { return strings.Compare(a.Audience, b.Audience) })
	}
	return s, nil
}

// serverResource is the authorization server's own API.
func serverResource() *Resource {
	return &Resource{Scopes: map[string]Text{
		oauth.ScopeOpenID:        {En: "Know that it is you", Ja: "あなたであることの確認"},
		oauth.ScopeProfile:       {En: "See your name and profile", Ja: "名前とプロフィールの閲覧"},
		oauth.ScopeEmail:         {En: "See your e-mail address", Ja: "メールアドレスの閲覧"},
		oauth.ScopePhone:         {En: "See your phone number", Ja: "電話番号の閲覧"},
		oauth.ScopeAddress:       {En: "See your address", Ja: "住所の閲覧"},
		oauth.ScopeOfflineAccess: {En: "Stay connected while you are away", Ja: "不在時の継続利用"},
		oauth.ScopeConvert:       {En: "Convert identifiers of people", Ja: "利用者識別子の変換"},
		oauth.ScopeReissue:       {En: "Renew identifiers of people", Ja: "利用者識別子の再発行"},
		oauth.ScopePublish:       {En: "Publish events", Ja: "イベントの発行"},
		oauth.ScopeStreamRead:    {En: "Look at event streams", Ja: "イベントストリームの閲覧"},
		oauth.ScopeStreamManage:  {En: "Manage event streams", Ja: "イベントストリームの管理"},
	}}
}

func (b *builder) addResource(r *Resource) {
	r.names = sortedKeys(r.Scopes)
	b.snapshot.resources[r.Audience] = r
	for _, scope := range r.names {
		b.snapshot.scopes[scope] = append(b.snapshot.scopes[scope], r)
	}
}

func (b *builder) addSubsystem(name string) error {
	declared := b.group.Subsystems[name]
	sector, ok := b.sectors[b.group.sectorName(name)]
	if !ok {
		return fmt.Errorf("sector %s has no row", b.group.sectorName(name))
	}
	subsystem := &Subsystem{
		Name:        name,
		DisplayName: declared.Name,
		Scenario:    declared.Scenario,
		Sector:      sector,
		Theme:       declared.Theme.Name(),
		Identity:    declared.Identity,
	}
	if declared.Resource != nil {
		details, err := newDetailTypes(declared.Resource.Details)
		if err != nil {
			return err
		}
		subsystem.Resource = &Resource{
			details:   details,
			Subsystem: subsystem,
			Audience:  declared.Resource.Audience,
			Scopes:    declared.Resource.Scopes,
			Opaque:    declared.Resource.Opaque,
			Profile:   declared.Resource.Profile,
		}
		b.addResource(subsystem.Resource)
	}
	for _, short := range sortedKeys(declared.Clients) {
		client, err := newClient(subsystem, clientID(name, short), declared.Clients[short])
		if err != nil {
			return fmt.Errorf("client %s: %w", short, err)
		}
		subsystem.Clients = append(subsystem.Clients, client)
		b.snapshot.clients[client.ID] = client
	}
	if err := b.addRegistered(subsystem); err != nil {
		return err
	}
	b.snapshot.subsystems[name] = subsystem
	b.snapshot.sorted = append(b.snapshot.sorted, subsystem)
	return nil
}

// addRegistered adds the clients that a subsystem registered itself. People are
// told whose they are, since nobody but their bearer chose their names.
func (b *builder) addRegistered(subsystem *Subsystem) error {
	if !subsystem.Scenario.AllowsRegistration() {
		return nil
	}
	for _, registered := range b.registered {
		if registered.Subsystem != subsystem.Name {
			continue
		}
		client, err := newClient(subsystem, registered.ID, registered.Declared)
		if err != nil {
			return fmt.Errorf("registered client %s: %w", registered.ID, err)
		}
		if registered.Declared.Name != (Text{}) {
			client.Name = registered.Declared.Name.of(subsystem.DisplayName)
		}
		subsystem.Clients = append(subsystem.Clients, client)
		b.snapshot.clients[client.ID] = client
	}
	slices.SortFunc(subsystem.Clients, func(a, b *Client) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// newClient makes the client of a declaration.
func newClient(subsystem *Subsystem, id string, declared *GroupClient) (*Client, error) {
	client := &Client{
		ID:                     id,
		Name:                   declared.Name,
		Subsystem:              subsystem,
		Type:                   declared.Type,
		Profile:                declared.Profile,
		Auth:                   declared.Auth,
		RedirectURIs:           declared.RedirectURIs,
		PostLogoutRedirectURIs: declared.PostLogoutRedirectURIs,
		CORSOrigins:            declared.CORSOrigins,
		PARRequired:            declared.PAR == PARRequired,
		JARRequired:            declared.JAR == JARRequired,
		MTLSRequired:           declared.SenderConstraint == ConstraintMTLS,
		Workload:               (*Workload)(declared.Workload),
		CertificateName:        certificateName(declared),
		DPoPRequired:           declared.SenderConstraint == ConstraintDPoP || declared.SenderConstraint == constraintDPoPNonce,
		DPoPNonce:              declared.SenderConstraint == constraintDPoPNonce,
		PKCEOptional:           declared.PKCE == pkceOptional,
		OncePerReplica:         declared.Assertions == assertionsOncePerReplica,
		IDTokenAlg:             jose.Alg(declared.IDTokenAlg),
		ACR:                    declared.ACR,
		FormerSubject:          declared.FormerSubject,
		Rate:                   declared.Rate,
		Burst:                  burstFactor * declared.Rate,
		ClientURI:              declared.ClientURI,
		LogoURI:                declared.LogoURI,
		PolicyURI:              declared.PolicyURI,
		TOSURI:                 declared.TOSURI,
		InitiateLoginURI:       declared.InitiateLoginURI,

		BackChannelLogoutURI:     declared.BackChannelLogoutURI,
		BackChannelLogoutSession: declared.BackChannelLogoutSession,
	}
	if client.Name == (Text{}) {
		client.Name = subsystem.DisplayName
	}
	for _, text := range declared.Secrets {
		hash, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("secret hash: %w", err)
		}
		client.SecretHashes = append(client.SecretHashes, hash)
	}
	for _, text := range declared.Certificates {
		hash, err := certificateHash(text)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		client.CertificateHashes = append(client.CertificateHashes, hash)
	}
	if declared.JWKS != nil {
		keys, err := jose.ParseJWKS(declared.JWKS)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		client.JWKS = keys
	}
	return client, nil
}

func (b *builder) addEdge(call GroupCall) error {
	from, ok := b.snapshot.subsystems[call.From]
	if !ok {
		return fmt.Errorf("no subsystem %s", call.From)
	}
	to, ok := b.snapshot.subsystems[call.To]
	if !ok || to.Resource == nil {
		return fmt.Errorf("no resource of %s", call.To)
	}
	edge := &Edge{
		From:             from,
		To:               to,
		Service:          call.Service,
		ThirdPartyChains: call.ThirdPartyChains,
		RequireGrant:     call.RequireGrant,
		Bound:            call.Bound || to.Resource.Profile.fapi(),
	}
	for _, user := range call.User {
		edge.User = append(edge.User, UserScope(user))
	}
	b.snapshot.edges[[2]string{from.Name, to.Name}] = edge
	b.snapshot.from[from.Name] = append(b.snapshot.from[from.Name], edge)
	b.snapshot.to[to.Name] = append(b.snapshot.to[to.Name], edge)
	return nil
}

// addEvents adds the rights of one entry to those there are.
func (b *builder) addEvents(declared GroupEvent) error {
	publisher := b.snapshot.subsystems[declared.Publisher] // nil: the platform
	if publisher == nil && declared.Publisher != Platform || publisher != nil && publisher.Resource == nil {
		return fmt.Errorf("no resource of %s", declared.Publisher)
	}
	for _, name := range declared.Types {
		uri := b.group.eventURI(declared.Publisher, name)
		event := b.snapshot.events[uri]
		if event == nil {
			event = &Event{Name: name, URI: uri, Publisher: publisher}
			b.snapshot.events[uri] = event
			b.snapshot.published[declared.Publisher] = append(b.snapshot.published[declared.Publisher], event)
		}
		for _, receiver := range declared.Receivers {
			subsystem, ok := b.snapshot.subsystems[receiver]
			if !ok {
				return fmt.Errorf("no subsystem %s", receiver)
			}
			requireGrant := declared.RequireGrant || subsystem.Scenario.NeedsConsent()
			event.Receivers = append(event.Receivers, EventReceiver{Subsystem: subsystem, RequireGrant: requireGrant})
			b.snapshot.received[receiver] = append(b.snapshot.received[receiver], event)
		}
	}
	return nil
}

// sortEvents brings what addEvents gathered into one order.
func (b *builder) sortEvents() {
	for _, event := range b.snapshot.events {
		slices.SortFunc(event.Receivers, func(a, b EventReceiver) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, lists := range []map[string][]*Event{b.snapshot.published, b.snapshot.received} {
		for _, events := range lists {
			slices.SortFunc(events, func(a, b *Event) int { return strings.Compare(a.URI, b.URI) })
		}
	}
}
