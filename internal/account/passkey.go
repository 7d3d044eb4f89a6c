package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Limits of passkeys.
const (
	MaxPasskeys    = 20
	maxPasskeyName = 60 // characters
	maxPasskeyID   = 1023
)

// Passkey is a key of a person in one of their devices (WebAuthn).
type Passkey struct {
	ID        []byte
	AccountID string
	Name      string
	Synced    bool // may be in several devices
	Suspect   bool // its counter went backwards; it is not taken any more
	CreatedAt time.Time
	UsedAt    time.Time // zero: never

	publicKey  []byte
	signCount  uint32
	transports []protocol.AuthenticatorTransport
	aaguid     []byte
}

var (
	// ErrPasskey is the answer to everything by which a passkey does not prove who a
	// person is.
	ErrPasskey = errors.New("account: the passkey was not accepted")
	// ErrPasskeyKnown says that this passkey is there already, ErrPasskeysFull that
	// there are as many as there may be, ErrPasskeyName that a name is empty or long.
	ErrPasskeyKnown = errors.New("account: the passkey is there already")
	ErrPasskeysFull = errors.New("account: there are as many passkeys as an account may have")
	ErrPasskeyName  = errors.New("account: the name of a passkey has 1 to 60 characters")
	// ErrLastMethod says that a person could not sign in any more without this.
	ErrLastMethod = errors.New("account: it is the only way left to sign in")
)

// site is what checks passkeys of this server's address; nil where browsers know none:
// at the address of a machine.
func (p *People) site() *webauthn.WebAuthn {
	if p.Config.Site == nil {
		return nil
	}
	origin, _ := p.Config.Site()
	made := p.authenticators.Load()
	if made != nil && made.Config.RPOrigins[0] == origin {
		return made
	}
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
		return nil
	}
	made, err = webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: u.Hostname(), RPOrigins: []string{origin}})
	if err != nil {
		return nil
	}
	p.authenticators.Store(made)
	return made
}

// siteName is what authenticators call this server.
func (p *People) siteName() string {
	if p.Config.Site == nil {
		return ""
	}
	origin, name := p.Config.Site()
	if name != "" {
		return name
	}
	return strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://")
}

// TakesPasskeys reports whether browsers have passkeys for this server's address.
func (p *People) TakesPasskeys() bool { return p.site() != nil }

// PasskeyOptions are what a page asks a browser for a passkey with
// (PublicKeyCredentialRequestOptions, as JSON): one of those held, or any of this
// server if there are none. The answer is good for the same purpose, once, for five
// minutes.
func (p *People) PasskeyOptions(purpose string, held []Passkey) string {
	options := protocol.PublicKeyCredentialRequestOptions{
		Challenge:          p.newChallenge(purpose),
		Timeout:            int(challengeLife / time.Millisecond),
		RelyingPartyID:     p.site().Config.RPID,
		AllowedCredentials: descriptors(held),
		UserVerification:   protocol.VerificationRequired,
	}
	return mustJSON(options)
}

// NewPasskeyOptions are what a page has a browser make a passkey with
// (PublicKeyCredentialCreationOptions, as JSON), in a device that holds none of the
// person's yet.
func (p *People) NewPasskeyOptions(who *Account, purpose string, held []Passkey) string {
	options := protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{
			CredentialEntity: protocol.CredentialEntity{Name: p.siteName()}, ID: p.site().Config.RPID,
		},
		User: protocol.UserEntity{
			CredentialEntity: protocol.CredentialEntity{Name: who.Email}, DisplayName: who.Profile.Name,
			ID: protocol.URLEncodedBase64(p.userHandle(who.ID)),
		},
		Challenge:             p.newChallenge(purpose),
		Parameters:            webauthn.CredentialParametersRecommendedL3(),
		Timeout:               int(challengeLife / time.Millisecond),
		CredentialExcludeList: descriptors(held),
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			UserVerification:   protocol.VerificationRequired,
		},
		Attestation: protocol.PreferNoAttestation,
	}
	return mustJSON(options)
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("account: options of passkeys cannot be written as JSON: " + err.Error())
	}
	return string(text)
}

func descriptors(held []Passkey) []protocol.CredentialDescriptor {
	var list []protocol.CredentialDescriptor
	for _, k := range held {
		list = append(list, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: k.ID, Transport: k.transports})
	}
	return list
}

// userHandle names a person to authenticators: never the account's id, which leaves
// the platform nowhere.
func (p *People) userHandle(accountID string) []byte {
	return secret.Derive(p.FactorKey, "passkey user "+accountID, secret.KeySize)
}

// Passkeys lists the passkeys of a person, the oldest first.
func (p *People) Passkeys(ctx context.Context, tx *db.Tx, accountID string) ([]Passkey, error) {
	return passkeyRows(ctx, tx, "account_id = $1 ORDER BY created_at, id", accountID)
}

// PasskeyAttempt is a browser's answer to PasskeyOptions.
type PasskeyAttempt struct {
	Purpose   string
	Response  string // PublicKeyCredential, as JSON
	AccountID string // the only person it may be; empty for anybody
	Origin
}

// CheckPasskey says who an attempt is by, and with which passkey. All that is wrong
// gives ErrPasskey (WebAuthn §7.2). Nothing limits attempts: no key can be guessed.
func (p *People) CheckPasskey(ctx context.Context, a PasskeyAttempt) (*Account, *Passkey, error) {
	if p.site() == nil {
		return nil, nil, ErrPasskey
	}
	response, err := protocol.ParseCredentialRequestResponseBytes([]byte(a.Response))
	if err != nil {
		return nil, nil, p.refusePasskey(ctx, a, nil, "it cannot be read")
	}
	who, key, err := p.passkeyOwner(ctx, response.RawID)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case who == nil:
		return nil, nil, p.refusePasskey(ctx, a, nil, "nobody has this passkey")
	case a.AccountID != "" && who.ID != a.AccountID:
		return nil, nil, p.refusePasskey(ctx, a, who, "the passkey is another person's")
	case !who.Active():
		return nil, nil, p.refusePasskey(ctx, a, who, "the account is disabled")
	case key.Suspect:
		return nil, nil, p.refusePasskey(ctx, a, who, "there may be a copy of the passkey")
	}
	challenge := response.Response.CollectedClientData.Challenge
	used, ok := p.checkChallenge(challenge, a.Purpose)
	if !ok {
		return nil, nil, p.refusePasskey(ctx, a, who, "the challenge is not one of ours, of another page, or has expired")
	}
	checked, err := p.validatePasskey(passkeyUser{p.userHandle(who.ID), *key}, challenge, a.AccountID != "", response)
	if err != nil {
		return nil, nil, p.refusePasskey(ctx, a, who, "the answer of the authenticator: "+problemOf(err))
	}
	return p.settlePasskey(ctx, a, who, key, used, checked.Authenticator)
}

// validatePasskey checks the answer of an authenticator. One that was asked for a key by
// its id need not say whose it is.
func (p *People) validatePasskey(owner passkeyUser, challenge string, known bool, response *protocol.ParsedCredentialAssertionData) (*webauthn.Credential, error) {
	session := webauthn.SessionData{Challenge: challenge, UserVerification: protocol.VerificationRequired}
	if known && len(response.Response.UserHandle) == 0 {
		session.UserID = owner.handle
		return p.site().ValidateLogin(owner, session, response)
	}
	return p.site().ValidateDiscoverableLogin(func([]byte, []byte) (webauthn.User, error) { return owner, nil }, session, response)
}

// settlePasskey takes the challenge, once, and moves the counter of the key.
func (p *People) settlePasskey(ctx context.Context, a PasskeyAttempt, who *Account, key *Passkey, used challenge, now webauthn.Authenticator) (*Account, *Passkey, error) {
	var refused string
	err := p.DB.Update(ctx, func(tx *db.Tx) error {
		refused = ""
		first, err := takeChallenge(ctx, tx, used)
		switch {
		case err != nil:
			return err
		case !first:
			refused = "the challenge was answered before"
		case now.CloneWarning:
			refused = "its counter went backwards: there may be a copy of the passkey"
			if err := suspectPasskey(ctx, tx, key.ID); err != nil {
				return err
			}
		default:
			moved, err := movePasskey(ctx, tx, key, now.SignCount, p.Now())
			if err != nil {
				return err
			}
			if !moved {
				refused = "the passkey was used or removed at this moment"
			}
		}
		if refused != "" {
			return p.record(ctx, tx, audit.SignInFailed, a.Origin, who, "passkey: "+refused)
		}
		if err := accountCounter(who.ID).clear(ctx, tx); err != nil {
			return err
		}
		return p.record(ctx, tx, audit.SignInSucceeded, a.Origin, who, "")
	})
	if err != nil {
		return nil, nil, fmt.Errorf("account: settle the use of a passkey: %w", err)
	}
	if refused != "" {
		return nil, nil, ErrPasskey
	}
	return who, key, nil
}

// passkeyOwner finds a passkey with its owner; nobody if there is none.
func (p *People) passkeyOwner(ctx context.Context, id []byte) (who *Account, key *Passkey, err error) {
	err = p.DB.Read(ctx, func(tx *db.Tx) error {
		who, key = nil, nil
		keys, err := passkeyRows(ctx, tx, "id = $1", id)
		if err != nil || len(keys) == 0 {
			return err
		}
		key = &keys[0]
		who, err = p.ByID(ctx, tx, key.AccountID)
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		return err
	})
	return who, key, err
}

func (p *People) refusePasskey(ctx context.Context, a PasskeyAttempt, who *Account, why string) error {
	err := p.DB.Update(ctx, func(tx *db.Tx) error {
		return p.record(ctx, tx, audit.SignInFailed, a.Origin, who, "passkey: "+why)
	})
	if err != nil {
		return fmt.Errorf("account: record a refused passkey: %w", err)
	}
	return ErrPasskey
}

// problemOf is what the library says of an answer, for the audit log.
func problemOf(err error) string {
	var problem *protocol.Error
	if errors.As(err, &problem) {
		return strings.TrimSpace(problem.Details + " " + problem.DevInfo)
	}
	return "not valid"
}

// passkeyUser shows a person with one passkey to the library.
type passkeyUser struct {
	handle []byte
	key    Passkey
}

func (u passkeyUser) WebAuthnID() []byte          { return u.handle }
func (u passkeyUser) WebAuthnName() string        { return "" }
func (u passkeyUser) WebAuthnDisplayName() string { return "" }
func (u passkeyUser) WebAuthnCredentials() []webauthn.Credential {
	return []webauthn.Credential{{
		ID: u.key.ID, PublicKey: u.key.publicKey,
		Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: u.key.Synced},
		Authenticator: webauthn.Authenticator{AAGUID: u.key.aaguid, SignCount: u.key.signCount},
	}}
}

// NewPasskey is a browser's answer to NewPasskeyOptions.
type NewPasskey struct {
	AccountID string
	Purpose   string
	Response  string // PublicKeyCredential, as JSON
	Name      string // what the person calls it
	Origin
}

// AddPasskey adds a passkey to an account (WebAuthn §7.1). What is wrong with the
// answer gives ErrPasskey.
func (p *People) AddPasskey(ctx context.Context, n NewPasskey) (*Passkey, error) {
	name, err := passkeyName(n.Name)
	if err != nil {
		return nil, err
	}
	if p.site() == nil {
		return nil, ErrPasskey
	}
	response, err := protocol.ParseCredentialCreationResponseBytes([]byte(n.Response))
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be read: %s", ErrPasskey, problemOf(err))
	}
	used, ok := p.checkChallenge(response.Response.CollectedClientData.Challenge, n.Purpose)
	if !ok {
		return nil, fmt.Errorf("%w: the challenge is not one of ours, of another page, or has expired", ErrPasskey)
	}
	owner := passkeyUser{handle: p.userHandle(n.AccountID)}
	made, err := p.site().CreateCredential(owner, webauthn.SessionData{
		Challenge: response.Response.CollectedClientData.Challenge, UserID: owner.handle,
		UserVerification: protocol.VerificationRequired, CredParams: webauthn.CredentialParametersRecommendedL3(),
	}, response)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrPasskey, problemOf(err))
	}
	if len(made.ID) > maxPasskeyID {
		return nil, fmt.Errorf("%w: its id has more than %d bytes", ErrPasskey, maxPasskeyID)
	}
	key := Passkey{
		ID: made.ID, AccountID: n.AccountID, Name: name, Synced: made.Flags.BackupEligible, CreatedAt: p.now(),
		publicKey: made.PublicKey, signCount: made.Authenticator.SignCount, transports: made.Transport, aaguid: made.Authenticator.AAGUID,
	}
	err = p.changeMethods(ctx, n.AccountID, n.Origin, "create", func(tx *db.Tx, _ *Account) (string, error) {
		first, err := takeChallenge(ctx, tx, used)
		if err != nil {
			return "", err
		}
		if !first {
			return "", ErrPasskey
		}
		held, err := p.Passkeys(ctx, tx, n.AccountID)
		if err != nil {
			return "", err
		}
		if len(held) >= MaxPasskeys {
			return "", ErrPasskeysFull
		}
		return credentialOf(&key), insertPasskey(ctx, tx, &key)
	})
	if err != nil {
		return nil, err
	}
	return &key, nil
}

// RenamePasskey gives a passkey of the person another name.
func (p *People) RenamePasskey(ctx context.Context, accountID string, id []byte, name string) error {
	name, err := passkeyName(name)
	if err != nil {
		return err
	}
	return p.DB.Update(ctx, func(tx *db.Tx) error {
		renamed, err := renamePasskey(ctx, tx, accountID, id, name)
		if err == nil && !renamed {
			return ErrUnknown
		}
		return err
	})
}

// RemovePasskey removes a passkey of the person, unless it is the only way left to
// sign in.
func (p *People) RemovePasskey(ctx context.Context, accountID string, id []byte, from Origin) error {
	return p.changeMethods(ctx, accountID, from, "delete", func(tx *db.Tx, who *Account) (string, error) {
		held, err := p.Passkeys(ctx, tx, accountID)
		if err != nil {
			return "", err
		}
		elsewhere, err := identities(ctx, tx, accountID)
		if err != nil {
			return "", err
		}
		at := slices.IndexFunc(held, func(k Passkey) bool { return bytes.Equal(k.ID, id) })
		switch {
		case at < 0:
			return "", ErrUnknown
		case len(held) == 1 && who.PasswordChangedAt.IsZero() && len(elsewhere) == 0:
			return "", ErrLastMethod
		}
		return credentialOf(&held[at]), deletePasskey(ctx, tx, accountID, id)
	})
}

// credentialOf is the credential_type of a passkey (CAEP 1.0 §3.3.1).
func credentialOf(k *Passkey) string {
	for _, transport := range k.transports {
		if transport == protocol.Internal {
			return "fido2-platform"
		}
	}
	return "fido2-roaming"
}

func passkeyName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n == 0 || n > maxPasskeyName || !utf8.ValidString(name) {
		return "", ErrPasskeyName
	}
	return name, nil
}
