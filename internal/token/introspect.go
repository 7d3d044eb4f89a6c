package token

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Introspect is the introspection endpoint (RFC 7662 §2), for services that do
// not check tokens themselves. It reads no database. Whatever is wrong with a
// token, and be it only that it is for somebody else, the answer is the same.
func (d *Door) Introspect(w http.ResponseWriter, r *http.Request) {
	asker, answer, err := d.introspect(w, r)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	body := appendIntrospection(nil, answer)
	if !asksForSigned(r) {
		web.WriteRawJSON(w, http.StatusOK, body)
		return
	}
	signed, err := d.Mint.Introspection(asker, body)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", signedIntrospection)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, signed) // a client that has hung up is nobody's fault
}

func (d *Door) introspect(w http.ResponseWriter, r *http.Request) (asker *registry.Client, answer *oauth.Introspection, err error) {
	form, err := parsePost(w, r)
	if err != nil {
		return nil, nil, err
	}
	asker, _, err = d.confidential(r, form, web.ClientIP(r, d.TrustProxy))
	if err != nil {
		return nil, nil, err
	}
	if err := d.limits.takeIntrospection(asker); err != nil {
		return nil, nil, err
	}
	token := form.Get("token")
	if token == "" {
		return nil, nil, oauth.Refuse(oauth.InvalidRequest, "The parameter token is missing.")
	}
	checked, err := d.Mint.Check(r.Context(), token)
	if errors.Is(err, mint.ErrInvalid) {
		web.Event(r.Context()).Set("inactive", err.Error())
		return asker, &oauth.Introspection{}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return asker, d.inTermsOf(asker, checked), nil
}

// signedIntrospection is the media type of a signed answer (RFC 9701 §4).
const signedIntrospection = "application/" + oauth.TypIntrospection

// asksForSigned reports whether the asker wants its answer signed.
func asksForSigned(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for media := range strings.SplitSeq(accept, ",") {
			if media, _, _ = strings.Cut(media, ";"); strings.EqualFold(strings.TrimSpace(media), signedIntrospection) {
				return true
			}
		}
	}
	return false
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
		TokenType: tokenType(claims.Confirmation),
		AuthTime:  claims.AuthTime,
		ACR:       claims.ACR,
		AMR:       claims.AMR,
		SessionID: claims.SessionID,
		Actor:     claims.Actor,

		Confirmation: claims.Confirmation,
	}
	for _, scope := range claims.Scope {
		if own.HasScope(scope) {
			answer.Scope = append(answer.Scope, scope)
		}
	}
	answer.AuthorizationDetails = detailsFor(own, claims.AuthorizationDetails)
	if checked.User != nil {
		answer.ResourceSubject = d.Pairwise.Subject(asker.Subsystem.Sector, checked.User.Who)
	}
	return answer
}
