package account

import (
	"context"
	"reflect"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// tell has others told of a change of an account, in the transaction that makes
// it.
func (p *People) tell(ctx context.Context, tx *db.Tx, event string, who Ref, from Origin, more map[string]any) error {
	by := outbox.ByUser
	if from.By != "" {
		by = outbox.ByAdmin
	}
	return outbox.Append(ctx, tx, outbox.Happening{
		Type: event, Handle: who.Handle, Gen: who.Gen, KnownTo: from.KnownTo, At: p.now(),
		Payload: outbox.About(by, "", more),
	})
}

// tellProfile tells which claims about a person have changed. Values are looked up
// for each receiver when it is told: what one may know another may not.
func (p *People) tellProfile(ctx context.Context, tx *db.Tx, before *Account, profile Profile, from Origin) error {
	after := *before
	after.Profile = profile
	var changed []string
	for _, claim := range Claims() {
		if !reflect.DeepEqual(claim.Value(before), claim.Value(&after)) {
			changed = append(changed, claim.Name)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return p.tell(ctx, tx, oauth.EventTokenClaimsChange, before.Ref, from, map[string]any{"claims": changed})
}
