package courier

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	logoutPrefix = "logout:" // and the client's id: the stream of its logout tokens

	// logoutLife is how long it is worth telling a client that a session has
	// ended. What its own session can still do by then, it has done.
	logoutLife = 10 * time.Minute
)

// addLogouts adds a logout token for each client that had grants under a session
// that has ended, if it wants one (OIDC Back-Channel Logout §2.5).
func (c *Courier) addLogouts(ctx context.Context, tx *db.Tx, group *registry.Snapshot, happenings []outbox.Happening) error {
	var deliveries []outbox.Delivery
	for i := range happenings {
		h := &happenings[i]
		if h.Session == nil {
			continue
		}
		who := account.Ref{Handle: h.Handle, Gen: h.Gen}
		for _, id := range h.Clients {
			client, ok := group.Client(id)
			if !ok || client.BackChannelLogoutURI == "" {
				continue
			}
			sector, jti := client.Subsystem.Sector, secret.ID()
			deliveries = append(deliveries, c.deliver(logoutPrefix+id, jti, oauth.EventBackChannelLogout, ownKey(jti), &message{
				Subject: c.Pairwise.Subject(sector, who), Session: c.Pairwise.SessionID(sector, *h.Session),
				IssuedAt: c.Now().Unix(),
			}))
		}
	}
	return outbox.Add(ctx, tx, c.Now(), deliveries)
}

// logoutRequest is the request that brings a logout token (OIDC Back-Channel
// Logout §2.5). The token is made now, since it lives for two minutes only.
func (c *Courier) logoutRequest(ctx context.Context, client *registry.Client, d *outbox.Delivery, m *message) (*http.Request, error) {
	former, err := c.formerSubject(ctx, client, m.Subject)
	if err != nil {
		return nil, err
	}
	issued, err := c.Mint.LogoutToken(mint.LogoutToken{
		Client: client, Subject: m.Subject, SessionID: m.Session, Former: former, ID: d.ID,
	})
	if err != nil {
		return nil, err
	}
	form := url.Values{"logout_token": {issued.Token}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackChannelLogoutURI, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}

// formerSubject is the subject that a person had at a client before its sector was
// re-keyed, if the client wants to be told.
func (c *Courier) formerSubject(ctx context.Context, client *registry.Client, subject string) (string, error) {
	sector := client.Subsystem.Sector
	if !client.FormerSubject || sector.Former == 0 {
		return "", nil
	}
	who, err := c.Pairwise.ResolveOne(ctx, sector, subject)
	if err != nil || who.Nobody() {
		return "", err
	}
	former, _ := c.Pairwise.FormerSubject(sector, who)
	return former, nil
}
