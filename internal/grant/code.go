package grant

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const codePrefix = "sek_ac_"

// Authorize makes a grant under the session and the code that carries it to
// the client. ErrNoSession says that the session was ended meanwhile.
func (g *Grants) Authorize(ctx context.Context, tx *db.Tx, a Authorization) (code string, err error) {
	if err := g.touch(ctx, tx, a.Session); err != nil {
		return "", err
	}
	now := g.now()
	expires := now.Add(g.life.Code)
	granted := &Grant{
		ID:            secret.Int63(),
		AccountID:     a.Session.AccountID,
		Ref:           a.Session.Ref,
		ClientID:      a.ClientID,
		SessionID:     &a.Session.ID,
		Offline:       a.Offline,
		Scopes:        a.Scopes,
		Details:       a.Details,
		AuthTime:      a.Session.AuthTime,
		ExactAuthTime: a.ExactAuthTime,
		ACR:           a.Session.ACR,
		AMR:           a.Session.AMR,
		Nonce:         a.Nonce,
		Claims:        a.Claims,
		CreatedAt:     now,
		ExpiresAt:     expires,
	}
	if err := insertGrant(ctx, tx, granted); err != nil {
		return "", err
	}
	code = secret.Token(codePrefix)
	err = insertCode(ctx, tx, codeRow{
		hash:        secret.Hash(code),
		grantID:     granted.ID,
		redirectURI: a.RedirectURI,
		challenge:   a.Challenge,
		key:         a.Key,
		expiresAt:   expires,
	})
	if err != nil {
		return "", err
	}
	return code, g.recordGrant(ctx, tx, granted, audit.Record{Event: audit.CodeIssued, Detail: detailTypes(granted)})
}

// Redeem exchanges a code for its grant and, if asked for, the first refresh
// token. What it refuses is a Refusal, written down unless it is ErrUnknown;
// after ErrSpent the grant is ended.
func (g *Grants) Redeem(ctx context.Context, r Redemption) (granted *Grant, refreshToken string, err error) {
	err = g.decide(ctx, func(tx *db.Tx) error {
		granted, refreshToken, err = g.redeem(ctx, tx, r)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return granted, refreshToken, nil
}

func (g *Grants) redeem(ctx context.Context, tx *db.Tx, r Redemption) (*Grant, string, error) {
	code, granted, err := takeCode(ctx, tx, secret.Hash(r.Code))
	if err != nil {
		return nil, "", err
	}
	if refusal := code.checkBearer(granted, r); refusal != "" {
		return nil, "", g.refuse(ctx, tx, granted, refusal)
	}
	if code.used {
		return nil, "", g.refuseAndEnd(ctx, tx, granted, ErrSpent) // RFC 6749 §4.1.2
	}
	if g.restored.before(granted.CreatedAt) {
		return nil, "", g.refuseAndEnd(ctx, tx, granted, ErrRestored)
	}
	now := g.now()
	if !now.Before(code.expiresAt) {
		return nil, "", g.refuse(ctx, tx, granted, ErrExpired)
	}
	if err := g.checkAlive(ctx, tx, granted); err != nil {
		return nil, "", err
	}
	if err := check(r.Check, granted); err != nil {
		return nil, "", err
	}
	switch used, err := useCode(ctx, tx, code.hash, now); {
	case err != nil:
		return nil, "", err
	case !used:
		return nil, "", g.refuseAndEnd(ctx, tx, granted, ErrSpent)
	}
	granted.ExpiresAt = now.Add(g.life.AccessToken)
	var refreshToken string
	if r.Refresh {
		if refreshToken, err = g.startFamily(ctx, tx, granted, r.Key, now); err != nil {
			return nil, "", err
		}
	}
	if err := extendGrant(ctx, tx, granted); err != nil {
		return nil, "", err
	}
	return granted, refreshToken, g.recordGrant(ctx, tx, granted, audit.Record{
		Event: audit.TokenIssued, Reason: "authorization_code",
	})
}

// checkBearer checks that whoever sends the code is whom it was made for. It
// comes before everything that could tell or change the code's state.
func (c *codeRow) checkBearer(granted *Grant, r Redemption) Refusal {
	switch {
	case granted.ClientID != r.ClientID: // RFC 6749 §4.1.3
		return ErrWrongClient
	case c.redirectURI != r.RedirectURI: // RFC 6749 §4.1.3
		return ErrRedirectURI
	case !verifies(c.challenge, r.Verifier):
		return ErrVerifier
	case c.key != "" && c.key != r.Key: // RFC 9449 §10
		return ErrKey
	}
	return ""
}

// verifies checks a PKCE verifier (RFC 7636 §4.6). A verifier without a
// challenge is refused too: somebody has taken the challenge out of the
// authorization request (RFC 9700 §4.8.2).
func verifies(challenge, verifier string) bool {
	if challenge == "" || verifier == "" {
		return challenge == verifier
	}
	if !validVerifier(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return secret.Equal([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge))
}

// validVerifier checks the syntax of RFC 7636 §4.1.
func validVerifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// checkAlive is the one notion of alive: the grant was not ended, its account
// is active, and its password has not changed since the sign-in behind the grant. It also brings the
// reference to the person up to date.
func (g *Grants) checkAlive(ctx context.Context, tx *db.Tx, granted *Grant) error {
	if granted.ended {
		return g.refuse(ctx, tx, granted, ErrEnded)
	}
	who, err := g.person(ctx, tx, granted.AccountID, granted.AuthTime)
	if errors.Is(err, ErrAccount) {
		return g.refuse(ctx, tx, granted, ErrAccount)
	}
	if err != nil {
		return err
	}
	granted.Ref = who.Ref
	return nil
}

func check(with func(*Grant) error, granted *Grant) error {
	if with == nil {
		return nil
	}
	return with(granted)
}

// decide runs fn in one transaction, which is committed also when fn refuses:
// what a refusal ends stays ended, and it is written down. Any other error
// leaves everything as it was.
func (g *Grants) decide(ctx context.Context, fn func(*db.Tx) error) error {
	var refused error
	err := g.db.Update(ctx, func(tx *db.Tx) error {
		refused = nil
		err := fn(tx)
		var refusal Refusal
		if errors.As(err, &refusal) {
			refused = refusal
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return refused
}
