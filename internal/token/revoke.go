package token

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// refreshPrefix is how refresh tokens begin.
const refreshPrefix = "sek_rt_"

// Revoke is the revocation endpoint (RFC 7009 §2). A token that is unknown, or
// another client's, is answered like one that was revoked, and nothing happens.
func (d *Door) Revoke(w http.ResponseWriter, r *http.Request) {
	if d.crossOrigin(w, r, http.MethodPost) {
		return
	}
	if err := d.revoke(w, r); err != nil {
		d.refuse(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (d *Door) revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := parsePost(w, r)
	if err != nil {
		return err
	}
	client, _, err := d.authenticate(r, form, web.ClientIP(r, d.TrustProxy))
	if err != nil {
		return err
	}
	if err := d.limits.takeToken(client); err != nil {
		return err
	}
	token := form.Get("token") // token_type_hint is not needed: a token shows what it is
	switch {
	case token == "":
		return oauth.Refuse(oauth.InvalidRequest, "The parameter token is missing.")
	case strings.HasPrefix(token, refreshPrefix):
		err = d.Grants.RevokeRefreshToken(r.Context(), token, client.ID)
	default:
		err = d.revokeAccess(r.Context(), token, client)
	}
	var refused grant.Refusal
	if errors.As(err, &refused) || errors.Is(err, mint.ErrInvalid) {
		web.Event(r.Context()).Set("not_revoked", err.Error())
		return nil // RFC 7009 §2.2
	}
	return err
}

// revokeAccess ends an access token of the client. With the first token of a
// chain all that were exchanged from it end; with one made by exchange, itself
// only.
func (d *Door) revokeAccess(ctx context.Context, token string, client *registry.Client) error {
	checked, err := d.Mint.Check(ctx, token)
	if err != nil {
		return err
	}
	claims := checked.Claims()
	if claims.ClientID != client.ID {
		return grant.ErrWrongClient
	}
	revocation := grant.Revocation{Root: checked.Root(), ClientID: client.ID, Reason: "revoked by the client"}
	if claims.Actor != nil {
		revocation.Root, revocation.Token = 0, claims.ID
	}
	return d.DB.Update(ctx, func(tx *db.Tx) error {
		return d.Grants.Revoke(ctx, tx, revocation)
	})
}
