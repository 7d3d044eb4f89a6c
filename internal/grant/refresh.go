package grant

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	// A refresh token is the prefix, the name of its family, and a secret of
	// its own. The name makes every token the family ever had recognisable
	// without a row for each.
	refreshPrefix = "sek_rt_"
	familyBytes   = 18 // 24 characters
	familyEnd     = len(refreshPrefix) + familyBytes/3*4

	// maxRepeats is how often the answer of one rotation is repeated. A thief
	// could otherwise follow an honest client in lock-step.
	maxRepeats = 2
)

// familyOf is what names the family of a refresh token in the database; false
// for what cannot be one.
func familyOf(token string) ([]byte, bool) {
	if !strings.HasPrefix(token, refreshPrefix) || len(token) <= familyEnd {
		return nil, false
	}
	return secret.Hash(token[:familyEnd]), true
}

// successorBox has the key that a successor is sealed under: only who holds the
// token before it can open it, and the database does not.
func successorBox(token string) (*secret.Box, error) {
	return secret.NewBox(secret.Derive([]byte(token), "refresh token successor", secret.KeySize))
}

// startFamily makes the first refresh token of a grant, bound to the key if there
// is one.
func (g *Grants) startFamily(ctx context.Context, tx *db.Tx, granted *Grant, key string, now time.Time) (string, error) {
	name := refreshPrefix + base64.RawURLEncoding.EncodeToString(secret.Bytes(familyBytes))
	token := secret.Token(name)
	family := familyRow{
		id:         secret.Hash(name),
		newestHash: secret.Hash(token),
		key:        key,
		endsAt:     now.Add(g.life.RefreshAbsolute),
	}
	family.expiresAt = g.idleEnd(family, now)
	granted.ExpiresAt = later(granted.ExpiresAt, family.expiresAt)
	return token, insertFamily(ctx, tx, granted.ID, family)
}

// Refresh answers a refresh token with its grant and the refresh token to use
// from now on: its successor, or the same one where tokens are not rotated.
// What it refuses is a Refusal, written down unless it is ErrUnknown. After
// ErrReused, and after ErrWrongClient, since a token in foreign hands is a
// stolen one, the grant is ended.
func (g *Grants) Refresh(ctx context.Context, r RefreshRequest) (granted *Grant, successor string, err error) {
	family, ok := familyOf(r.Token)
	if !ok {
		return nil, "", ErrUnknown
	}
	err = g.decide(ctx, func(tx *db.Tx) error {
		granted, successor, err = g.refresh(ctx, tx, r, family)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return granted, successor, nil
}

func (g *Grants) refresh(ctx context.Context, tx *db.Tx, r RefreshRequest, id []byte) (*Grant, string, error) {
	family, granted, err := takeFamily(ctx, tx, id)
	if err != nil {
		return nil, "", err
	}
	if granted.ClientID != r.ClientID { // RFC 6749 §6
		return nil, "", g.refuseAndEnd(ctx, tx, granted, ErrWrongClient)
	}
	if !family.mayBeUsedWith(r) {
		return nil, "", g.refuse(ctx, tx, granted, ErrKey)
	}
	if err := g.checkAlive(ctx, tx, granted); err != nil {
		return nil, "", err
	}
	if r.Rotate {
		if err := g.checkRestored(ctx, tx, granted, family); err != nil {
			return nil, "", err
		}
	}
	now := g.now()
	if !now.Before(family.expiresAt) {
		return nil, "", g.refuse(ctx, tx, granted, ErrExpired)
	}
	answer, err := g.answer(*family, r, now)
	if errors.Is(err, ErrReused) {
		return nil, "", g.refuseAndEnd(ctx, tx, granted, ErrReused) // RFC 9700 §4.14.2
	}
	if err != nil {
		return nil, "", err
	}
	if err := check(r.Check, granted); err != nil {
		return nil, "", err
	}
	if err := updateFamily(ctx, tx, family.newestHash, answer.family); err != nil {
		return nil, "", err
	}
	if err := g.keepGrant(ctx, tx, granted, later(answer.family.expiresAt, now.Add(g.life.AccessToken))); err != nil {
		return nil, "", err
	}
	return granted, answer.token, g.recordGrant(ctx, tx, granted, audit.Record{Event: answer.event, Reason: "refresh_token"})
}

// mayBeUsedWith asks for the key of a bound family (RFC 9449 §5). A confidential
// client proves itself, and may use a new key.
func (f *familyRow) mayBeUsedWith(r RefreshRequest) bool {
	return f.key == "" || f.key == r.Key || !r.Rotate && r.Key != ""
}

// keepGrant keeps the row of a grant at least until a time. It is moved by whole
// hours: all indexes of the row move with it, and most refreshes need not.
func (g *Grants) keepGrant(ctx context.Context, tx *db.Tx, granted *Grant, until time.Time) error {
	if !until.After(granted.ExpiresAt) {
		return nil
	}
	granted.ExpiresAt = until.Truncate(time.Hour).Add(time.Hour)
	return extendGrant(ctx, tx, granted)
}

// answer is what a refresh token gives: the token to use from now on, and the
// family after that.
type answer struct {
	token  string
	family familyRow
	event  audit.Event
}

// answer decides by the place of the token in its family. ErrReused stands for
// every place that an honest client's token cannot have.
func (g *Grants) answer(family familyRow, r RefreshRequest, now time.Time) (answer, error) {
	hash := secret.Hash(r.Token)
	switch {
	case secret.Equal(hash, family.newestHash) && r.Rotate:
		return g.rotate(family, r.Token, now)
	case secret.Equal(hash, family.newestHash):
		return g.keep(family, r.Token, now), nil
	case secret.Equal(hash, family.previousHash) && !now.After(family.rotatedAt.Add(g.life.RefreshGrace)):
		return repeat(family, r.Token)
	default:
		return answer{}, ErrReused
	}
}

// rotate makes the successor of the newest token.
func (g *Grants) rotate(family familyRow, token string, now time.Time) (answer, error) {
	box, err := successorBox(token)
	if err != nil {
		return answer{}, err
	}
	successor := secret.Token(token[:familyEnd])
	family.previousHash, family.newestHash = family.newestHash, secret.Hash(successor)
	family.sealedNewest = box.Seal([]byte(successor), family.id)
	family.rotatedAt, family.repeats = now, 0
	family.expiresAt = g.idleEnd(family, now)
	return answer{successor, family, audit.TokenIssued}, nil
}

// keep moves the idle limit of the newest token. Its use ends the grace of the
// one before it.
func (g *Grants) keep(family familyRow, token string, now time.Time) answer {
	family.previousHash, family.sealedNewest = nil, nil
	family.expiresAt = g.idleEnd(family, now)
	return answer{token, family, audit.TokenIssued}
}

// repeat gives the successor once more, for a client whose answer was lost on
// the way or whose tabs refreshed together. Had the successor been used, its
// predecessor would not be the previous token any more.
func repeat(family familyRow, token string) (answer, error) {
	if family.repeats >= maxRepeats {
		return answer{}, ErrReused
	}
	box, err := successorBox(token)
	if err != nil {
		return answer{}, err
	}
	successor, err := box.Open(family.sealedNewest, family.id)
	if err != nil {
		return answer{}, fmt.Errorf("grant: successor of a refresh token: %w", err)
	}
	family.repeats++
	return answer{string(successor), family, audit.RefreshRepeated}, nil
}

// idleEnd is when a family used now expires. The absolute limit never moves.
func (g *Grants) idleEnd(family familyRow, now time.Time) time.Time {
	return earlier(now.Add(g.life.RefreshIdle), family.endsAt)
}

// RevokeRefreshToken ends the grant of any refresh token of the client, also
// an old one (RFC 7009 §2.1). A token of another client is left alone and
// refused with ErrWrongClient; one that is not known with ErrUnknown.
func (g *Grants) RevokeRefreshToken(ctx context.Context, token, clientID string) error {
	id, ok := familyOf(token)
	if !ok {
		return ErrUnknown
	}
	return g.decide(ctx, func(tx *db.Tx) error {
		_, granted, err := takeFamily(ctx, tx, id)
		if err != nil {
			return err
		}
		if granted.ClientID != clientID {
			return ErrWrongClient
		}
		return g.Revoke(ctx, tx, Revocation{Grant: granted.ID, ClientID: clientID, Reason: reasonClientAsked})
	})
}
