package grant

import (
	"context"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
)

// Missing are the scopes of s that known does not hold: what is left to ask
// for. It is empty, not nil, when there is none.
func (s Scopes) Missing(known Scopes) Scopes {
	missing := Scopes{}
	for audience, scopes := range s {
		for _, scope := range scopes {
			if !slices.Contains(known[audience], scope) {
				missing[audience] = append(missing[audience], scope)
			}
		}
	}
	return missing
}

// Consent is what the person has allowed the client; empty if nothing.
func (g *Grants) Consent(ctx context.Context, tx *db.Tx, accountID, clientID string) (Scopes, error) {
	scopes := Scopes{}
	err := eachConsent(ctx, tx, consentsOfClient, []any{accountID, clientID}, func(row consentRow) {
		scopes[row.audience] = row.scopes
	})
	return scopes, err
}

// ListConsents are the consents of a person, ordered by client.
func (g *Grants) ListConsents(ctx context.Context, tx *db.Tx, accountID string) ([]Consent, error) {
	var list []Consent
	err := eachConsent(ctx, tx, consentsOfAccount, []any{accountID}, func(row consentRow) {
		if len(list) == 0 || list[len(list)-1].ClientID != row.client {
			list = append(list, Consent{AccountID: accountID, ClientID: row.client, Scopes: Scopes{}})
		}
		last := &list[len(list)-1]
		last.Scopes[row.audience] = row.scopes
		last.GrantedAt = later(last.GrantedAt, row.grantedAt)
	})
	return list, err
}

// Remember adds scopes to what the person has allowed the client. It writes
// nothing if they are all known.
func (g *Grants) Remember(ctx context.Context, tx *db.Tx, s *Session, clientID string, scopes Scopes) error {
	known, err := g.Consent(ctx, tx, s.AccountID, clientID)
	if err != nil {
		return err
	}
	missing := scopes.Missing(known)
	if len(missing) == 0 {
		return nil
	}
	var names []string
	for audience, added := range missing {
		names = append(names, added...)
		row := consentRow{
			client:    clientID,
			audience:  audience,
			scopes:    append(slices.Clone(known[audience]), added...),
			grantedAt: g.now(),
		}
		if err := putConsent(ctx, tx, s, row); err != nil {
			return err
		}
	}
	return g.record(ctx, tx, audit.Record{
		Event: audit.ConsentGranted, Client: clientID, Account: s.AccountID,
		Detail: map[string]any{"scopes": strings.Join(names, " ")},
	})
}

// Withdraw takes back what the person has allowed the client, and ends the
// client's grants of that person.
func (g *Grants) Withdraw(ctx context.Context, tx *db.Tx, accountID, clientID string) error {
	found, err := deleteConsents(ctx, tx, accountID, clientID)
	if err != nil {
		return err
	}
	if found {
		err := g.record(ctx, tx, audit.Record{Event: audit.ConsentWithdrawn, Client: clientID, Account: accountID})
		if err != nil {
			return err
		}
	}
	return g.RevokeClient(ctx, tx, accountID, clientID, reasonConsentWithdrawn)
}

// HoldersAmong says which of the people hold something of one of the clients:
// a consent that was not withdrawn, or a grant that is alive. At most 1,000
// people and 100 clients may be asked for at once.
func (g *Grants) HoldersAmong(ctx context.Context, tx *db.Tx, clients []string, people []account.Handle) (map[account.Handle]bool, error) {
	holders := make(map[account.Handle]bool, len(people))
	if len(clients) == 0 {
		return holders, nil
	}
	for part := range slices.Chunk(people, 500) {
		if err := addHolders(ctx, tx, clients, part, g.now(), holders); err != nil {
			return nil, err
		}
	}
	return holders, nil
}

// ClientsOf are the clients that hold something of a person: a consent that was not
// withdrawn, or a grant that is alive. They are who may hear of the person. It is
// not nil.
func (g *Grants) ClientsOf(ctx context.Context, tx *db.Tx, accountID string) ([]string, error) {
	return clientsOfAccount(ctx, tx, accountID, g.now())
}
