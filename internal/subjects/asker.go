package subjects

import (
	"net/http"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// checkAsker finds out who asks: a confidential client of a service, by a token
// in service context for this server with the scope subjects:convert.
func (d *Door) checkAsker(w http.ResponseWriter, r *http.Request) (*registry.Client, error) {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return nil, err
	}
	token, err := web.BearerToken(r)
	if err != nil {
		return nil, err
	}
	checked, err := d.Mint.Check(r.Context(), token)
	if err != nil {
		return nil, err
	}
	web.Event(r.Context()).Set("client", checked.Claims().ClientID)
	asker, err := d.Mint.ServiceCaller(checked, oauth.ScopeConvert)
	if err != nil {
		web.ChallengeScope(w, err, oauth.ScopeConvert)
		return nil, err
	}
	// The scenario is asked again: the group may have changed since the token was
	// issued.
	if !d.Registry.Current().MayConvert(asker) {
		return nil, oauth.Refuse(oauth.AccessDenied, "Only confidential clients of a service convert subjects; a subsystem of another scenario knows its own alone.")
	}
	return asker, nil
}
