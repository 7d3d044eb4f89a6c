package token

import (
	"context"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// asksForEvents reports whether a request is for the credentials of events: token
// exchange of the publisher's own name of a person.
func (c call) asksForEvents() bool {
	return c.grantType == oauth.GrantTokenExchange && c.subjectTokenType == oauth.TokenTypeSubject
}

// eventCredentials gives a publisher the ID tokens that prove its events about one
// person to their receivers (RFC 8693 §2 with the authorization_details of
// RFC 9396 §6; docs/events.md). It writes nothing to the database, and reads from
// it only where a receiver may hear of some people and not of others.
func (d *Door) eventCredentials(ctx context.Context, c call) (answer, error) {
	if err := c.checkEventRequest(); err != nil {
		return answer{}, err
	}
	details, err := parseDetails(c.details, d.Now())
	if err != nil {
		return answer{}, err
	}
	receivers, err := c.eventReceivers(details)
	if err != nil {
		return answer{}, err
	}
	publisher := c.client.Subsystem
	if err := d.Budgets.Take(ctx, publisher.Name, len(details)); err != nil {
		return answer{}, err
	}
	who, err := d.Pairwise.ResolveOne(ctx, publisher.Sector, c.subjectToken)
	if err != nil {
		return answer{}, err
	}
	if who.Nobody() {
		return answer{}, errNamesNobody
	}
	holds, err := d.holdings(ctx, who, receivers)
	if err != nil {
		return answer{}, err
	}
	return d.proveEvents(c, who, details, receivers, holds)
}

// errNamesNobody is one answer for a subject that is malformed, of another sector,
// of nobody, of somebody who is disabled or deleted, or of somebody whom no
// receiver may hear of. The SDK knows it by its words.
var errNamesNobody = oauth.Refuse(oauth.InvalidRequest, "The subject_token names nobody that these receivers may hear of.")

// checkEventRequest refuses parameters that mean something in other exchanges
// and would mean nothing here.
func (c call) checkEventRequest() error {
	switch {
	case c.requestedTokenType != oauth.TokenTypeID:
		return oauth.Refuse(oauth.InvalidRequest, "The requested_token_type must be the URN of id_token: nothing else is given for a subject_token of this type.")
	case c.subjectToken == "":
		return oauth.Refuse(oauth.InvalidRequest, "The parameter subject_token is missing; it is your own identifier of the person.")
	case c.details == "":
		return oauth.Refuse(oauth.InvalidRequest, "The parameter authorization_details is missing; it says which events are to be proved to whom.")
	case len(c.resources)+len(c.audiences) > 0:
		return oauth.Refuse(oauth.InvalidTarget, "Receivers are named in authorization_details; leave resource and audience out.")
	case len(c.scopes) > 0:
		return oauth.Refuse(oauth.InvalidScope, "The credential of an event carries no scopes; leave scope out.")
	}
	return c.refuseActor()
}

// eventReceivers finds the receiver of each detail, if the group file has the
// asker's subsystem publish that type to it. Nothing is given unless all are
// declared.
func (c call) eventReceivers(details []oauth.EventDetail) ([]registry.EventReceiver, error) {
	receivers := make([]registry.EventReceiver, len(details))
	for i := range details {
		event, ok := c.group.Event(details[i].EventType)
		if ok = ok && event.Publisher != nil && event.Publisher.Name == c.client.Subsystem.Name; ok {
			receivers[i], ok = event.Receiver(details[i].Receiver)
		}
		if !ok {
			return nil, refuse(oauth.InvalidTarget, "The group file does not have %s publish the type %s to the receiver %s; declare it under events.",
				c.client.Subsystem.Name, word(details[i].EventType), word(details[i].Receiver))
		}
	}
	return receivers, nil
}

// holdings tells at which receivers the person holds a consent or a grant, by name.
// Only those are asked for that may hear of nobody else, lest they learn of
// accounts which they do not know (docs/ppid.md §2).
func (d *Door) holdings(ctx context.Context, who account.Ref, receivers []registry.EventReceiver) (map[string]bool, error) {
	clients := map[string][]string{}
	for _, receiver := range receivers {
		if receiver.RequireGrant {
			clients[receiver.Name] = receiver.ClientIDs()
		}
	}
	if len(clients) == 0 {
		return nil, nil
	}
	holds := make(map[string]bool, len(clients))
	err := d.DB.Read(ctx, func(tx *db.Tx) error {
		for name, ids := range clients {
			holders, err := d.Grants.HoldersAmong(ctx, tx, ids, []account.Handle{who.Handle})
			if err != nil {
				return err
			}
			holds[name] = holders[who.Handle]
		}
		return nil
	})
	return holds, err
}

// proveEvents signs a credential for each detail but those whose receiver must
// not hear of the person, and answers with the details.
func (d *Door) proveEvents(c call, who account.Ref, details []oauth.EventDetail, receivers []registry.EventReceiver, holds map[string]bool) (answer, error) {
	response := oauth.TokenResponse{
		IssuedTokenType: oauth.TokenTypeID,
		TokenType:       oauth.NotApplicable,
	}
	given := 0
	for i := range details {
		detail, receiver := &details[i], receivers[i]
		if receiver.RequireGrant && !holds[receiver.Name] {
			continue
		}
		issued, err := d.Mint.EventToken(mint.EventToken{
			Publisher:  c.client.ID,
			Receiver:   receiver.Subsystem,
			Subject:    d.Pairwise.Subject(receiver.Sector, who),
			ID:         d.Mint.EventID(c.client.Subsystem.Name, receiver.Name, detail.EventID),
			Type:       detail.EventType,
			BodySHA256: detail.BodySHA256,
			HappenedAt: detail.HappenedAt,
		})
		if err != nil {
			return answer{}, err
		}
		detail.IDToken = issued.Token
		if given++; given == 1 {
			response.AccessToken, response.ExpiresIn = issued.Token, issued.ExpiresIn() // RFC 8693 §2.2.1: whatever the token is
		}
	}
	if given == 0 {
		return answer{}, errNamesNobody
	}
	response.AuthorizationDetails = appendDetails(nil, details)
	return answer{response: response, record: eventRecord(details, given)}, nil
}

// eventRecord is the audit record of credentials: how many of which types and for
// whom, never about whom. It names the first few, so that it fits whatever the
// names are.
func eventRecord(details []oauth.EventDetail, given int) audit.Record {
	const few = 10
	var receivers, types []string
	for i := range details {
		if name := details[i].Receiver; len(receivers) < few && !slices.Contains(receivers, name) {
			receivers = append(receivers, name)
		}
		uri := details[i].EventType
		if name := uri[strings.LastIndexByte(uri, '/')+1:]; len(types) < few && !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	return audit.Record{
		Event: audit.EventCredentialIssued, Outcome: audit.OK,
		Detail: map[string]any{"asked": len(details), "given": given, "receivers": receivers, "types": types},
	}
}
