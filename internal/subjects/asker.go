package subjects

import (
	"net/http"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// right is what lets a client ask: a scope, and being one that may have it.
type right struct {
	scope string
	may   func(*registry.Snapshot, *registry.Client) bool
	words string // why not
}

var (
	mayConvert = right{
		oauth.ScopeConvert, (*registry.Snapshot).MayConvert,
		"Only confidential clients of a service convert subjects; a subsystem of another scenario knows its own alone.",
	}
	mayReissue = right{
		oauth.ScopeReissue, (*registry.Snapshot).MayReissue,
		"Subjects are issued again to confidential clients of a sector that was re-keyed; this one was not.",
	}
)

// checkAsker finds out who asks: a client that has the right, by a token in service
// context for this server with its scope.
func (d *Door) checkAsker(w http.ResponseWriter, r *http.Request, needed right) (*registry.Client, error) {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return nil, err
	}
	sent, err := web.AccessToken(r)
	if err != nil {
		return nil, err
	}
	checked, err := d.Mint.CheckSent(w, r, sent)
	if err != nil {
		return nil, err
	}
	web.Event(r.Context()).Set("client", checked.Claims().ClientID)
	asker, err := d.Mint.ServiceCaller(checked, needed.scope)
	if err != nil {
		web.ChallengeScope(w, r, err, needed.scope)
		return nil, err
	}
	// The scenario is asked again: the group may have changed since the token was
	// issued.
	if !needed.may(d.Registry.Current(), asker) {
		return nil, oauth.Refuse(oauth.AccessDenied, needed.words)
	}
	return asker, nil
}
