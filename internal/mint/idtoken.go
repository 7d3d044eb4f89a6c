package mint

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// IDToken tells a client who signed in.
type IDToken struct {
	Client      *registry.Client
	Who         account.Ref
	SignIn      SignIn
	Nonce       string
	AccessToken string         // the one issued beside it, for at_hash; may be empty
	About       map[string]any // claims about the person that the client asked for by name
	Actor       *oauth.Actor   // only after an exchange
	NotAfter    time.Time      // latest exp; zero means the usual life
}

// IDToken makes an ID token with the algorithm that its client chose.
func (m *Mint) IDToken(t IDToken) (Issued, error) {
	now := m.Now()
	sector := t.Client.Subsystem.Sector
	claims := oauth.IDTokenClaims{
		Issuer:          m.Issuer,
		Subject:         m.Pairwise.Subject(sector, t.Who),
		Audience:        oauth.Audience{t.Client.ID},
		IssuedAt:        now.Unix(),
		ExpiresAt:       earliest(now.Add(IDTokenLife), t.NotAfter).Unix(),
		AuthTime:        t.SignIn.authTime(),
		Nonce:           t.Nonce,
		ACR:             t.SignIn.ACR,
		AMR:             t.SignIn.AMR,
		AccessTokenHash: accessTokenHash(t.AccessToken),
		Actor:           t.Actor,
	}
	if t.Client.FormerSubject {
		claims.FormerSubject, _ = m.Pairwise.FormerSubject(sector, t.Who)
	}
	if t.SignIn.Session != nil {
		claims.SessionID = m.Pairwise.SessionID(sector, *t.SignIn.Session)
	}
	payload, err := withMore(claims, t.About)
	if err != nil {
		return Issued{}, err
	}
	token, err := m.Keys.Sign(chosen(t.Client, keyring.ID, keyring.IDRS256), payload)
	if err != nil {
		return Issued{}, err
	}
	return Issued{
		Token:     token,
		IssuedAt:  time.Unix(claims.IssuedAt, 0),
		ExpiresAt: time.Unix(claims.ExpiresAt, 0),
	}, nil
}

// withMore writes the claims with others behind them. No name is in both: what
// is asked for by name are claims of an account.
func withMore(claims oauth.IDTokenClaims, more map[string]any) ([]byte, error) {
	payload, err := json.Marshal(claims)
	if err != nil || len(more) == 0 {
		return payload, err
	}
	others, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	payload[len(payload)-1] = ','
	return append(payload, others[1:]...), nil
}

// chosen is the purpose with the algorithm that a client chose for its ID tokens,
// and so for all that is signed for it but access tokens.
func chosen(client *registry.Client, es256, rs256 keyring.Purpose) keyring.Purpose {
	if client.IDTokenAlg == jose.ES256 {
		return es256
	}
	return rs256
}

// accessTokenHash is at_hash: the left half of the hash that goes with the
// algorithm, SHA-256 for both of ours (OIDC Core §3.1.3.6).
func accessTokenHash(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// Hint is what an id_token_hint tells: which client had whom signed in, in
// which session.
type Hint struct {
	Claims  *oauth.IDTokenClaims
	Client  *registry.Client
	Who     account.Ref
	Session *[16]byte
}

// CheckIDTokenHint reads an ID token of ours that a client hands back to name a
// person. It may have expired (OIDC Core §3.1.2.1, RP-Initiated Logout §4); a
// person that is gone is no person.
func (m *Mint) CheckIDTokenHint(ctx context.Context, token string) (*Hint, error) {
	payload, err := m.Keys.Verify(keyring.IDRS256, token)
	if err != nil {
		payload, err = m.Keys.Verify(keyring.ID, token)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	claims := new(oauth.IDTokenClaims)
	if err := json.Unmarshal(payload, claims); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if claims.Issuer != m.Issuer || len(claims.Audience) != 1 {
		return nil, fmt.Errorf("%w: another issuer or audience", ErrInvalid)
	}
	client, ok := m.Registry.Current().Client(claims.Audience[0])
	if !ok {
		return nil, fmt.Errorf("%w: its client is not declared any more", ErrInvalid)
	}
	sector := client.Subsystem.Sector
	who, err := m.who(ctx, sector, claims.Subject)
	if err != nil {
		return nil, err
	}
	return &Hint{Claims: claims, Client: client, Who: who, Session: m.session(sector, claims.SessionID, claims.IssuedAt)}, nil
}
