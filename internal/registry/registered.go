package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

// Prefixes of what a registered client is given.
const (
	clientSecretPrefix = "sek_cs_"
	accessTokenPrefix  = "sek_ra_"
)

// maxRegistered is how many clients a subsystem may have registered.
const maxRegistered = 100

// Registered is a client that a third party registered itself (RFC 7591). It
// stands beside the declared ones, under the same rules.
type Registered struct {
	ID        string       `json:"client_id"`
	Subsystem string       `json:"subsystem"`
	CreatedAt time.Time    `json:"registered_at"`
	Declared  *GroupClient `json:"-"`
}

// Grants lists the grant types the client may use.
func (r Registered) Grants() []oauth.GrantType {
	client := &Client{
		ID: r.ID, Auth: r.Declared.Auth, RedirectURIs: r.Declared.RedirectURIs,
		Subsystem: &Subsystem{Name: r.Subsystem, Scenario: ThirdParty},
	}
	var grants []oauth.GrantType
	for _, grant := range []oauth.GrantType{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken, oauth.GrantClientCredentials} {
		if client.AllowsGrant(grant) == nil {
			grants = append(grants, grant)
		}
	}
	return grants
}

// HasSecret reports whether a text is the secret of the client.
func (r Registered) HasSecret(text string) bool {
	return slices.Contains(r.Declared.Secrets, hashOf(text))
}

// Registration is a registered client with what is told of it once only.
type Registration struct {
	Registered
	Secret      string // empty where there is none, or no new one
	AccessToken string // the registration access token (RFC 7592 §1.2)
}

// Origin says where a change came from, for the audit.
type Origin struct {
	By      string // an operator; empty where the client itself asked
	Source  string // address of the asker
	Request string // correlation id
}

// Refusals of registration. What a client declares of itself wrongly is Faults.
var (
	ErrRegistrationToken  = errors.New("initial access token is unknown, expired or withdrawn")
	ErrRegistrationAccess = errors.New("registration access token is not the one of this client, or there is no such client")
	ErrRegistrationsFull  = fmt.Errorf("the subsystem has %d registered clients already", maxRegistered)
	ErrNotRegistered      = errors.New("there is no such registered client or initial access token")
)

// RegistrationsSpent is the refusal of a registration by a token that was used
// as often as it may be within an hour.
type RegistrationsSpent struct{ RetryAfter time.Duration }

func (RegistrationsSpent) Error() string {
	return fmt.Sprintf("an initial access token registers %d clients an hour", registrationsPerPeriod)
}

// registeredID makes the id of a registered client. A declared name begins with
// a letter, so none can be the same.
func registeredID(subsystem string) string { return clientID(subsystem, "0"+secret.ID()) }

// Register adds a client to the subsystem that an initial access token is for
// (RFC 7591 §3).
func (r *Registry) Register(ctx context.Context, token string, declared *GroupClient, from Origin) (Registration, error) {
	opened, err := r.RegistrationToken(ctx, token)
	if err != nil {
		return Registration{}, err
	}
	made := Registration{
		Registered:  Registered{ID: registeredID(opened.Subsystem), Subsystem: opened.Subsystem, CreatedAt: r.config.Now().Truncate(time.Second)},
		AccessToken: secret.Token(accessTokenPrefix),
	}
	made.take(declared, nil)
	if err := made.check(); err != nil {
		return Registration{}, err
	}
	err = r.config.DB.Update(ctx, func(tx *db.Tx) error {
		if err := r.makeRoom(ctx, tx, made.Subsystem); err != nil {
			return err
		}
		if err := r.takeToken(ctx, tx, token); err != nil {
			return err
		}
		if err := writeRegistered(ctx, tx, made.Registered, secret.Hash(made.AccessToken)); err != nil {
			return err
		}
		plan := Plan{}
		differ{plan: &plan}.diffClient(made.ID, nil, made.Declared)
		detail := plan.detail()
		detail["token"] = opened.ID
		return r.recordClient(ctx, tx, audit.ClientRegistered, made.Registered, from, detail)
	})
	if err != nil {
		return Registration{}, fmt.Errorf("registry: register: %w", err)
	}
	return made, nil
}

// takeToken takes one use of an initial access token.
func (r *Registry) takeToken(ctx context.Context, tx *db.Tx, token string) error {
	now := r.config.Now()
	taken, err := takeRegistrationToken(ctx, tx, secret.Hash(token), now)
	if err != nil || taken {
		return err
	}
	_, next, err := readRegistrationToken(ctx, tx, secret.Hash(token), now)
	if err != nil {
		return err
	}
	return RegistrationsSpent{RetryAfter: max(time.Second, next.Sub(now))}
}

// makeRoom sees to it that the subsystem may have one client more. Neither the
// group nor the number of its clients changes until the transaction ends.
func (r *Registry) makeRoom(ctx context.Context, tx *db.Tx, name string) error {
	if err := lockRealm(ctx, tx); err != nil {
		return err
	}
	held, err := newestRevision(ctx, tx)
	if err != nil {
		return err
	}
	group, err := held.group()
	if err != nil {
		return err
	}
	if !group.opensRegistration(name) {
		return ErrRegistrationToken
	}
	n, err := countRegistered(ctx, tx, name)
	if err == nil && n >= maxRegistered {
		return ErrRegistrationsFull
	}
	return err
}

// opensRegistration reports whether clients of a subsystem may register.
func (g *Group) opensRegistration(name string) bool {
	return g != nil && g.Subsystems[name] != nil && g.Subsystems[name].Scenario.AllowsRegistration()
}

// deleteLost deletes what was registered, and may be, in subsystems that are no
// third parties of a group any more. It gives the ids of the clients.
func deleteLost(ctx context.Context, tx *db.Tx, group *Group) (map[string][]string, error) {
	names, err := registeringSubsystems(ctx, tx)
	if err != nil {
		return nil, err
	}
	lost := map[string][]string{}
	for _, name := range names {
		if group.opensRegistration(name) {
			continue
		}
		if lost[name], err = deleteRegistrations(ctx, tx, name); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// Registered finds a client by its own registration access token (RFC 7592 §2.1).
// Of a client that is not there it knows no more than of another's token.
func (r *Registry) Registered(ctx context.Context, id, accessToken string) (client Registered, err error) {
	err = r.config.DB.Read(ctx, func(tx *db.Tx) error {
		client, err = readRegistered(ctx, tx, id, secret.Hash(accessToken))
		return err
	})
	return client, err
}

// Replace gives a client another declaration in place of the one it had (RFC 7592
// §2.2). Id and secret stay; one is made where the new declaration needs the
// first.
func (r *Registry) Replace(ctx context.Context, id, accessToken string, declared *GroupClient, from Origin) (Registration, error) {
	var made Registration
	fresh := secret.Token(clientSecretPrefix)
	err := r.config.DB.Update(ctx, func(tx *db.Tx) error {
		held, err := readRegistered(ctx, tx, id, secret.Hash(accessToken))
		if err != nil {
			return err
		}
		made = Registration{Registered: held, AccessToken: accessToken, Secret: fresh}
		made.take(declared, held.Declared.Secrets)
		if err := made.check(); err != nil {
			return err
		}
		if err := replaceRegistered(ctx, tx, made.Registered, secret.Hash(accessToken), r.config.Now()); err != nil {
			return err
		}
		plan := Plan{}
		differ{plan: &plan}.diffClient(id, held.Declared, made.Declared)
		return r.recordClient(ctx, tx, audit.ClientChanged, made.Registered, from, plan.detail())
	})
	if err != nil {
		return Registration{}, fmt.Errorf("registry: replace %s: %w", id, err)
	}
	return made, nil
}

// take makes a copy of a declaration the one of the client, with the secrets it
// has, or a new one where it needs one and has none.
func (r *Registration) take(declared *GroupClient, secrets []string) {
	own := *declared
	own.settle(ThirdParty)
	own.Secrets = nil
	if len(own.JWKS) > 0 {
		own.JWKS = keepPublic(own.JWKS)
	}
	switch {
	case !own.Auth.usesSecret():
		r.Secret = ""
	case len(secrets) > 0:
		r.Secret, own.Secrets = "", secrets
	default:
		if r.Secret == "" {
			r.Secret = secret.Token(clientSecretPrefix)
		}
		own.Secrets = []string{hashOf(r.Secret)}
	}
	r.Declared = &own
}

// hashOf is a secret as a declaration has it.
func hashOf(text string) string { return hex.EncodeToString(secret.Hash(text)) }

// Unregister removes a client by its own registration access token (RFC 7592
// §2.3), with all it holds.
func (r *Registry) Unregister(ctx context.Context, id, accessToken string, from Origin) error {
	return r.remove(ctx, id, from, ErrRegistrationAccess, func(tx *db.Tx) (bool, error) {
		return deleteRegistered(ctx, tx, id, secret.Hash(accessToken))
	})
}

// RemoveRegistered is Unregister by the operator.
func (r *Registry) RemoveRegistered(ctx context.Context, id string, from Origin) error {
	return r.remove(ctx, id, from, ErrNotRegistered, func(tx *db.Tx) (bool, error) {
		return deleteRegisteredByID(ctx, tx, id)
	})
}

func (r *Registry) remove(ctx context.Context, id string, from Origin, missing error, take func(*db.Tx) (bool, error)) error {
	err := r.config.DB.Update(ctx, func(tx *db.Tx) error {
		switch deleted, err := take(tx); {
		case err != nil:
			return err
		case !deleted:
			return missing
		}
		if r.config.Removed != nil {
			if err := r.config.Removed(ctx, tx, []string{id}); err != nil {
				return err
			}
		}
		return r.recordClient(ctx, tx, audit.ClientRemoved, Registered{ID: id}, from, map[string]any{})
	})
	if err != nil {
		return fmt.Errorf("registry: remove %s: %w", id, err)
	}
	return nil
}

// recordClient writes down what became of a registered client, and has every
// process load it.
func (r *Registry) recordClient(ctx context.Context, tx *db.Tx, event audit.Event, client Registered, from Origin, detail map[string]any) error {
	tx.Changed(topic)
	if from.By != "" {
		detail["by"] = from.By
	}
	return audit.Append(ctx, tx, audit.Record{
		At: r.config.Now(), Event: event, Outcome: audit.OK, Client: client.ID,
		Source: from.Source, Request: from.Request, Detail: detail,
	})
}
