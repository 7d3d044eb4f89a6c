package grant

import (
	"context"
	"errors"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/web"
)

// Why grants end, as the audit trail tells it.
const (
	reasonClientAsked      = "revoked by the client"
	reasonSessionEnded     = "session ended"
	reasonConsentWithdrawn = "consent withdrawn"
	reasonClientRemoved    = "client removed from the group"

	reasonSignedOut = "signed out" // as others are told (CAEP Interoperability Profile 1.0 §3.1)
)

// Revoke ends a grant with all that hangs under it, a chain of access tokens,
// or one access token. Ending what is ended already changes nothing. When the
// transaction has been committed, Revoked knows.
func (g *Grants) Revoke(ctx context.Context, tx *db.Tx, r Revocation) error {
	switch {
	case r.Grant != 0:
		return g.end(ctx, tx, ofGrant, r.Reason, r.Grant)
	case r.Root != 0:
		return g.revokeTokens(ctx, tx, r, RootKey(r.Root))
	case r.Token != "":
		return g.revokeTokens(ctx, tx, r, TokenKey(r.Token))
	}
	return errors.New("grant: a revocation names nothing")
}

func (g *Grants) revokeTokens(ctx context.Context, tx *db.Tx, r Revocation, key Key) error {
	if err := g.publish(ctx, tx, key); err != nil {
		return err
	}
	return g.record(ctx, tx, audit.Record{Event: audit.TokenRevoked, Client: r.ClientID, Reason: r.Reason})
}

// RevokeClient ends the grants of one client that a person gave.
func (g *Grants) RevokeClient(ctx context.Context, tx *db.Tx, accountID, clientID, reason string) error {
	return g.end(ctx, tx, ofAccountAndClient, reason, accountID, clientID)
}

// RevokeClients ends all grants of clients that are no more, and forgets the
// consents they had: a client that is declared under the same id later inherits
// nothing.
func (g *Grants) RevokeClients(ctx context.Context, tx *db.Tx, clientIDs []string) error {
	for _, clientID := range clientIDs {
		if err := g.end(ctx, tx, ofClient, reasonClientRemoved, clientID); err != nil {
			return err
		}
		if err := deleteConsentsOfClient(ctx, tx, clientID); err != nil {
			return err
		}
	}
	return nil
}

// RevokeAccount ends all sessions and grants of a person, for an account that
// was disabled or whose password was changed. The reason is told to others.
func (g *Grants) RevokeAccount(ctx context.Context, tx *db.Tx, accountID string, by outbox.Initiator, reason string) error {
	ended, err := deleteSessions(ctx, tx, accountID)
	if err != nil {
		return err
	}
	if err := g.tellSessions(ctx, tx, accountID, ended, by, reason); err != nil {
		return err
	}
	for range ended {
		err := g.record(ctx, tx, audit.Record{Event: audit.SessionEnded, Account: accountID, Reason: reason})
		if err != nil {
			return err
		}
	}
	return g.end(ctx, tx, ofAccount, reason, accountID)
}

// ForgetAccount is RevokeAccount for a person who is about to be deleted:
// consents go too, and the handle is taken out of the grants that wait to be swept.
func (g *Grants) ForgetAccount(ctx context.Context, tx *db.Tx, accountID string, by outbox.Initiator, reason string) error {
	if err := g.RevokeAccount(ctx, tx, accountID, by, reason); err != nil {
		return err
	}
	return eraseAccount(ctx, tx, accountID)
}

// end ends the grants that the condition selects and that have not ended yet.
func (g *Grants) end(ctx context.Context, tx *db.Tx, which grantCondition, reason string, args ...any) error {
	now := g.now()
	ended, err := endGrants(ctx, tx, which, args, ending{now, now.Add(g.life.AccessToken), reason})
	if err != nil || len(ended) == 0 {
		return err
	}
	keys := make([]Key, len(ended))
	for i, granted := range ended {
		keys[i] = GrantKey(granted.ID)
		err := g.recordGrant(ctx, tx, granted, audit.Record{Event: audit.GrantRevoked, Reason: reason})
		if err != nil {
			return err
		}
	}
	return g.publish(ctx, tx, keys...)
}

// publish makes the keys known to every process once the transaction has been
// committed, for as long as an access token under them may be alive.
func (g *Grants) publish(ctx context.Context, tx *db.Tx, keys ...Key) error {
	if err := insertRevocations(ctx, tx, keys, g.now().Add(g.life.AccessToken)); err != nil {
		return err
	}
	tx.Changed(topic)
	return nil
}

// refuse writes down that something of the grant was refused, and why. It
// gives the refusal back.
func (g *Grants) refuse(ctx context.Context, tx *db.Tx, granted *Grant, refusal Refusal) error {
	err := g.recordGrant(ctx, tx, granted, audit.Record{
		Event: audit.TokenRefused, Outcome: audit.Refused, Reason: refusal.Error(),
	})
	if err != nil {
		return err
	}
	return refusal
}

// refuseAndEnd refuses something that an honest client would not have sent, or of
// which nobody knows any more whether it was used, and ends the grant.
func (g *Grants) refuseAndEnd(ctx context.Context, tx *db.Tx, granted *Grant, refusal Refusal) error {
	event := audit.RefreshReused
	switch refusal {
	case ErrSpent:
		event = audit.CodeReused
	case ErrRestored: // an honest client may well send it
		event = audit.TokenRefused
	}
	err := g.recordGrant(ctx, tx, granted, audit.Record{Event: event, Outcome: audit.Refused, Reason: refusal.Error()})
	if err != nil {
		return err
	}
	if err := g.Revoke(ctx, tx, Revocation{Grant: granted.ID, Reason: refusal.Error()}); err != nil {
		return err
	}
	return refusal
}

// recordGrant appends a record about a grant in the same transaction.
func (g *Grants) recordGrant(ctx context.Context, tx *db.Tx, granted *Grant, r audit.Record) error {
	r.Client, r.Account, r.Grant = granted.ClientID, granted.AccountID, granted.ID
	return g.record(ctx, tx, r)
}

// record appends a record of something that happened now, in this request.
func (g *Grants) record(ctx context.Context, tx *db.Tx, r audit.Record) error {
	r.At, r.Request = g.now(), web.Event(ctx).ID
	if r.Outcome == "" {
		r.Outcome = audit.OK
	}
	return audit.Append(ctx, tx, r)
}

// detailTypes are the types of a grant's authorization details, for its records;
// nil for none.
func detailTypes(granted *Grant) map[string]any {
	if len(granted.Details) == 0 {
		return nil
	}
	return map[string]any{"authorization_details": granted.Details.Types()}
}
