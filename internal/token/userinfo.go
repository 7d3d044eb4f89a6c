package token

import (
	"context"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Userinfo is the userinfo endpoint (OIDC Core §5.3): what the person of an
// access token lets its client know of them.
func (d *Door) Userinfo(w http.ResponseWriter, r *http.Request) {
	if d.crossOrigin(w, r, "GET, POST") {
		return
	}
	answer, err := d.userinfo(w, r)
	if err != nil {
		challengeMalformed(w, err)
		d.refuse(w, r, err)
		return
	}
	web.WriteJSON(w, http.StatusOK, answer)
}

func (d *Door) userinfo(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	sent, err := accessToken(w, r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	user, err := d.signedInUser(w, r, sent)
	if err != nil {
		return nil, err
	}
	web.Event(ctx).Set("client", user.Client.ID)
	person, given, err := d.personOf(ctx, user)
	if err != nil {
		return nil, err
	}
	answer := d.released(user.Client, given, person, user.Claims.Scope, readAsked(given).Userinfo)
	names := slices.Sorted(maps.Keys(answer))
	answer["sub"] = user.Claims.Subject
	err = d.Audit.Enqueue(audit.Record{
		At: d.Now(), Event: audit.UserinfoServed, Outcome: audit.OK,
		Client: user.Client.ID, Account: person.ID, Grant: user.Grant,
		Source: web.ClientIP(r, d.TrustProxy).String(), Request: web.Event(ctx).ID,
		Detail: map[string]any{"claims": names},
	})
	return answer, err
}

// accessToken finds the access token of a request, in the header or in the form
// of a POST (RFC 6750 §2). One in the URL does not count, and two are refused.
func accessToken(w http.ResponseWriter, r *http.Request) (web.SentToken, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return web.SentToken{}, &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusMethodNotAllowed,
			Description: "This endpoint takes GET and POST requests only.",
		}
	}
	var tokens []web.SentToken
	for _, header := range r.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(header, " ")
		proved := strings.EqualFold(scheme, oauth.DPoP)
		if !proved && !strings.EqualFold(scheme, oauth.Bearer) {
			return web.SentToken{}, web.NoToken // RFC 6750 §3.1: for an unsupported scheme no error code
		}
		tokens = append(tokens, web.SentToken{Token: strings.TrimSpace(token), DPoP: proved})
	}
	inURL := url.Values(r.URL.Query()).Has("access_token")
	if hasForm(r) {
		form, err := web.ParseForm(w, r, web.FormLimit)
		if err != nil {
			return web.SentToken{}, err
		}
		if form.Has("access_token") {
			tokens = append(tokens, web.SentToken{Token: form.Get("access_token")})
		}
	}
	switch {
	case len(tokens) > 1 || len(tokens) == 1 && inURL:
		return web.SentToken{}, oauth.Refuse(oauth.InvalidRequest, "The access token was sent in more than one way; send it once, not in the URL.")
	case len(tokens) == 0:
		return web.SentToken{}, web.NoToken
	}
	return tokens[0], nil
}

// challengeMalformed names the scheme to a request that is malformed, as RFC
// 6750 §3 has it where no token could be read.
func challengeMalformed(w http.ResponseWriter, err error) {
	var refused *oauth.Error
	if errors.As(err, &refused) && refused.HTTPStatus() == http.StatusBadRequest {
		w.Header().Set("WWW-Authenticate",
			`Bearer error="`+string(refused.Code)+`", error_description="`+refused.Description+`"`)
	}
}

// hasForm reports whether a POST brings a form.
func hasForm(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && err == nil && media == "application/x-www-form-urlencoded"
}

// signedInUser checks the access token: a person's, for this server, with
// openid.
func (d *Door) signedInUser(w http.ResponseWriter, r *http.Request, sent web.SentToken) (*mint.User, error) {
	checked, err := d.Mint.CheckSent(w, r, sent)
	if err != nil {
		return nil, err
	}
	claims := checked.Claims()
	if checked.User == nil {
		return nil, insufficient(w, r, "The access token is in service context; userinfo is about a person who signed in.")
	}
	if !claims.Audience.Has(d.Issuer) {
		return nil, oauth.Refuse(oauth.InvalidToken, "The access token is not for this server; ask for it without resource, or with the issuer as resource.")
	}
	if !claims.Scope.Has(oauth.ScopeOpenID) {
		return nil, insufficient(w, r, "The access token has no openid scope.")
	}
	return checked.User, nil
}

// insufficient is the refusal of a token without the scope that is needed,
// which the challenge names (RFC 6750 §3).
func insufficient(w http.ResponseWriter, r *http.Request, description string) *oauth.Error {
	refused := oauth.Refuse(oauth.InsufficientScope, description)
	web.ChallengeScope(w, r, refused, oauth.ScopeOpenID)
	return refused
}

// personOf reads the person of a token and the grant it stems from, in one
// database read.
func (d *Door) personOf(ctx context.Context, user *mint.User) (person *account.Account, given *grant.Grant, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		if person, err = d.People.ByHandle(ctx, tx, user.Who.Handle); err != nil {
			return err
		}
		given, err = d.Grants.ByID(ctx, tx, user.Grant)
		return err
	})
	var gone grant.Refusal
	if errors.Is(err, account.ErrUnknown) || errors.As(err, &gone) || err == nil && !person.Active() {
		return nil, nil, mint.ErrInvalid
	}
	return person, given, err
}
