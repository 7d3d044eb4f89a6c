package demo

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/sekisho-id/sekisho/oauth"
)

// The parties of the example, as the trace and the picture name them. The five
// systems carry their subsystem names.
const (
	partyBrowser = "browser"
	partyServer  = "sekisho"
	partyPage    = "page"
	partyApp     = "market-app"
	partyMarket  = "market"
	partyPay     = "pay"
	partyCrypto  = "crypto"
	partyPartner = "partner"
	partyBatch   = "batch" // pay's nightly job: a client of pay with a box of its own
)

// siteParties are those whose sites people visit.
var siteParties = []string{partyApp, partyCrypto, partyPartner}

// Step is one thing that happened between two parties.
type Step struct {
	Number  int
	From    string
	To      string
	Title   string
	Running bool
	Refusal *Refusal
	Tokens  []Token
	People  []Person

	revision int // of the trace, when this step last changed
}

// Refusal is an answer that said no, with the error code on the wire.
type Refusal struct {
	Status int
	Code   string
	Why    string
}

// Token is what a token says, never the token.
type Token struct {
	Kind     string
	Client   string
	Subject  string
	Service  bool // service context: speaks for no person
	Audience []string
	For      []string // the audience, as parties
	Scopes   []string
	Chain    []string // actors, the present one first
	Life     int64    // seconds from issue to expiry
	Expires  int64
	Bound    string // thumbprint of the key that it is bound to

	sector string // whose subject it is, where that is not the client's
}

// Person says which internal id stands behind a subject, in one system.
type Person struct {
	System   string // which knows the person
	Role     string // the person, the seller, the buyer
	Subject  string
	Sector   string // the system whose subject it is
	Internal string // the own id of System
}

// longestTrace bounds the memory of an example that is left running.
const longestTrace = 400

// Trace is the record of what happened in the example, for its page and its
// check. It is made by observing real requests; nothing reads it to decide.
type Trace struct {
	mu       sync.Mutex
	steps    []Step
	numbered int
	revision int
	changed  chan struct{} // closed and replaced at each change
	visitor  Person        // whom a site has met last, under the subject that site is told

	audiences map[string]string // the party behind an audience
}

func newTrace() *Trace { return &Trace{changed: make(chan struct{}), audiences: map[string]string{}} }

// begin adds a step and returns its number.
func (t *Trace) begin(step Step) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.numbered++
	step.Number, step.revision = t.numbered, t.touch()
	t.steps = append(t.steps, step)
	if surplus := len(t.steps) - longestTrace; surplus > 0 {
		t.steps = slices.Delete(t.steps, 0, surplus)
	}
	return step.Number
}

// amend changes the step with the given number; a step that was cleared or
// has aged out is left alone.
func (t *Trace) amend(number int, change func(*Step)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.steps {
		if t.steps[i].Number == number {
			change(&t.steps[i])
			t.steps[i].revision = t.touch()
		}
	}
}

func (t *Trace) touch() int {
	t.revision++
	close(t.changed)
	t.changed = make(chan struct{})
	return t.revision
}

// clear forgets all steps.
func (t *Trace) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = nil
	t.touch()
}

// forget forgets the steps, and whom the sites have met.
func (t *Trace) forget() {
	t.mu.Lock()
	t.visitor = Person{}
	t.mu.Unlock()
	t.clear()
}

// after returns the steps that changed after the given revision, and waits for
// one when there is none yet.
func (t *Trace) after(ctx context.Context, revision int) (steps []Step, now int, err error) {
	for {
		t.mu.Lock()
		for _, step := range t.steps {
			if step.revision > revision {
				steps = append(steps, step.clone())
			}
		}
		now, changed := t.revision, t.changed
		t.mu.Unlock()
		if len(steps) > 0 || now > revision {
			return steps, now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, revision, context.Cause(ctx)
		}
	}
}

// all returns the whole record, and the revision it stands at.
func (t *Trace) all() (steps []Step, revision int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, step := range t.steps {
		steps = append(steps, step.clone())
	}
	return steps, t.revision
}

func (s Step) clone() Step {
	s.Tokens, s.People = slices.Clone(s.Tokens), slices.Clone(s.People)
	return s
}

// lastVisitor is the person whom a site has met last; the zero Person at first.
func (t *Trace) lastVisitor() Person {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.visitor
}

type stepKey struct{}

// behind notes on the request's step which internal id stands behind a subject.
func (t *Trace) behind(ctx context.Context, person Person) {
	number, ok := ctx.Value(stepKey{}).(int)
	if !ok || person.Internal == "" {
		return
	}
	if person.Subject != "" && person.Sector == person.System && slices.Contains(siteParties, person.System) {
		t.mu.Lock()
		t.visitor = person
		t.mu.Unlock()
	}
	t.amend(number, func(s *Step) {
		if !slices.Contains(s.People, person) {
			s.People = append(s.People, person)
		}
	})
}

// presented is the access token of a request, under either scheme.
func presented(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, scheme == oauth.Bearer || scheme == oauth.DPoP
}

// readToken decodes what a JWT says without checking it: the trace only shows.
// An opaque token shows its kind alone.
func (t *Trace) readToken(kind, compact string) Token {
	token := Token{Kind: kind}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return token
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return token
	}
	var claims oauth.AccessTokenClaims
	if json.Unmarshal(payload, &claims) != nil {
		return token
	}
	token.Client, token.Subject, token.Audience = claims.ClientID, claims.Subject, claims.Audience
	if token.Client == "" && len(claims.Audience) > 0 {
		token.Client = claims.Audience[0] // an ID token is for the client itself
	}
	for _, audience := range claims.Audience {
		token.For = append(token.For, cmp.Or(t.audiences[audience], audience))
	}
	token.Scopes, token.Chain = claims.Scope, claims.Actor.Chain()
	token.Service = claims.ClientID != "" && claims.ServiceContext()
	if claims.Confirmation != nil {
		token.Bound = claims.Confirmation.JKT
	}
	token.Life, token.Expires = claims.ExpiresAt-claims.IssuedAt, claims.ExpiresAt
	return token
}

// readEvent decodes what the proof of an event says, without checking it.
func readEvent(compact string) (claims oauth.EventTokenClaims) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return claims
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return oauth.EventTokenClaims{}
	}
	return claims
}

// readProof is readToken for the proof of an event: it is issued to the publisher
// and speaks in the receiver's terms.
func (t *Trace) readProof(compact string) Token {
	token, claims := t.readToken("proof of the event", compact), readEvent(compact)
	token.Client = claims.AuthorizedParty
	if len(claims.Audience) == 1 {
		token.sector = claims.Audience[0]
	}
	return token
}

// Sector is the system whose subject the token carries.
func (t Token) Sector() string {
	if t.sector != "" {
		return t.sector
	}
	subsystem, _, _ := strings.Cut(t.Client, ".")
	return subsystem
}

// partyOf names the party of a client: its subsystem, except that the batch
// has a box of its own.
func partyOf(clientID string) string {
	if clientID == clientNightly {
		return partyBatch
	}
	subsystem, _, _ := strings.Cut(clientID, ".")
	return subsystem
}
