package token

import (
	"errors"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Introspect is the introspection endpoint (RFC 7662 §2), for services that do
// not check tokens themselves. It reads no database. Whatever is wrong with a
// token, and be it only that it is for somebody else, the answer is the same.
func (d *Door) Introspect(w http.ResponseWriter, r *http.Request) {
	answer, err := d.introspect(w, r)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	web.WriteRawJSON(w, http.StatusOK, appendIntrospection(nil, answer))
}

func (d *Door) introspect(w http.ResponseWriter, r *http.Request) (*oauth.Introspection, error) {
	form, err := parsePost(w, r)
	if err != nil {
		return nil, err
	}
	asker, _, err := d.confidential(r, form, web.ClientIP(r, d.TrustProxy))
	if err != nil {
		return nil, err
	}
	if err := d.limits.takeIntrospection(asker); err != nil {
		return nil, err
	}
	token := form.Get("token")
	if token == "" {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The parameter token is missing.")
	}
	checked, err := d.Mint.Check(r.Context(), token)
	if errors.Is(err, mint.ErrInvalid) {
		web.Event(r.Context()).Set("inactive", err.Error())
		return &oauth.Introspection{}, nil
	}
	if err != nil {
		return nil, err
	}
	return d.inTermsOf(asker, checked), nil
}

// inTermsOf says what a token means to the asker: nothing, if it is not
// addressed to its API; else its claims with the scopes of that API, and the
// person in the asker's own sector beside the caller's.
func (d *Door) inTermsOf(asker *registry.Client, checked mint.Checked) *oauth.Introspection {
	claims, own := checked.Claims(), asker.Subsystem.Resource
	if own == nil || !claims.Audience.Has(own.Audience) {
		return &oauth.Introspection{}
	}
	answer := &oauth.Introspection{
		Active:    true,
		Issuer:    claims.Issuer,
		Subject:   claims.Subject,
		Audience:  claims.Audience,
		ExpiresAt: claims.ExpiresAt,
		IssuedAt:  claims.IssuedAt,
		ID:        claims.ID,
		ClientID:  claims.ClientID,
		TokenType: oauth.Bearer,
		AuthTime:  claims.AuthTime,
		ACR:       claims.ACR,
		AMR:       claims.AMR,
		SessionID: claims.SessionID,
		Actor:     claims.Actor,
	}
	for _, scope := range claims.Scope {
		if own.HasScope(scope) {
			answer.Scope = append(answer.Scope, scope)
		}
	}
	if checked.User != nil {
		answer.ResourceSubject = d.Pairwise.Subject(asker.Subsystem.Sector, checked.User.Who)
	}
	return answer
}
