package demo

import (
	"context"
	"fmt"

	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// ID is how one system knows the person: the subject it is told, and its own
// id behind that.
type ID struct {
	System   string
	Subject  string // empty where the system may not be asked about
	Internal string // empty where the system has not met the person
}

// observer puts the ids of one person side by side, for the page alone. It can
// because it looks into every system's database, and because it asks as market,
// which all the others call: no system of the group can do the same.
type observer struct {
	trace   *Trace
	client  *rp.Client // market's, outside the trace
	app     *app
	crypto  *crypto
	partner *partner
	market  rs.Store
	pay     rs.Store
}

// ids lists the ids of the person whom a site has met last.
func (o *observer) ids(ctx context.Context) ([]ID, error) {
	visitor := o.trace.lastVisitor()
	if visitor.Subject == "" {
		return nil, nil
	}
	own, err := o.client.Convert(ctx, visitor.System, partyMarket, []string{visitor.Subject})
	if err != nil {
		return nil, fmt.Errorf("convert the visitor: %w", err)
	}
	ids := []ID{{System: partyApp}, {System: partyMarket, Subject: own[0]}, {System: partyPay}, {System: partyCrypto}, {System: partyPartner}}
	for i := range ids {
		if err := o.complete(ctx, &ids[i], own[0]); err != nil {
			return nil, fmt.Errorf("the id in %s: %w", ids[i].System, err)
		}
	}
	return ids, nil
}

func (o *observer) complete(ctx context.Context, id *ID, marketSubject string) error {
	if id.System != partyMarket {
		converted, err := o.client.Convert(ctx, partyMarket, id.System, []string{marketSubject})
		if err != nil {
			return err
		}
		id.Subject = converted[0]
	}
	var err error
	switch id.System {
	case partyApp:
		id.Internal, err = o.app.known(ctx, id.Subject)
	case partyCrypto:
		id.Internal, err = o.crypto.known(ctx, id.Subject)
	case partyPartner:
		id.Internal, err = o.partner.known(ctx, id.Subject)
	case partyMarket:
		id.Internal, err = stored(ctx, o.market, id.Subject)
	case partyPay:
		id.Internal, err = stored(ctx, o.pay, id.Subject)
	}
	return err
}

func stored(ctx context.Context, store rs.Store, subject string) (string, error) {
	known, err := store.Internal(ctx, []string{subject})
	return known[subject], err
}

// countIDs counts the different ids of all kinds.
func countIDs(ids []ID) int {
	different := map[string]bool{}
	for _, id := range ids {
		different[id.Subject], different[id.Internal] = true, true
	}
	delete(different, "")
	return len(different)
}
