package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// legacyAhead is how far the clock of an issuer of before may be ahead.
const legacyAhead = time.Minute

// legacyTypes are the kinds of JWT that an access token of before may be: an ID token or
// a logout token of its issuer has another audience, or another typ.
var legacyTypes = []string{"", "jwt", "at+jwt", "application/at+jwt"}

// legacyClaims are the claims of a token of before that count here.
type legacyClaims struct {
	Issuer       string         `json:"iss"`
	Subject      string         `json:"sub"`
	Audience     oauth.Audience `json:"aud"`
	Expires      float64        `json:"exp"`
	NotBefore    float64        `json:"nbf"`
	IssuedAt     float64        `json:"iat"`
	ID           string         `json:"jti"`
	Scope        words          `json:"scope"`
	ScopeList    words          `json:"scp"`
	Confirmation any            `json:"cnf"`
}

// words are scopes, as one text with spaces or as a list: both are found in the wild.
type words []string

func (w *words) UnmarshalJSON(text []byte) error {
	var list []string
	if len(text) > 0 && text[0] == '[' {
		if err := jose.DecodePart(text, &list); err != nil {
			return err
		}
		*w = list
		return nil
	}
	var one string
	if err := jose.DecodePart(text, &one); err != nil {
		return err
	}
	*w = strings.Fields(one)
	return nil
}

// legacySubject checks a subject token that a system of before has made (RFC 8693 §3): a
// JWT of a declared issuer for the asker, which stands for a token of a declared client. It
// can do no more than that client could here. Unlike any other exchange it reads the
// database, where it stands who the person is here.
func (d *Door) legacySubject(ctx context.Context, c call) (*mint.User, error) {
	kind, claims, err := d.checkLegacy(c)
	if err != nil {
		return nil, err
	}
	web.Event(ctx).Set("legacy", kind.Name)
	who, err := d.legacyPerson(ctx, claims)
	if err != nil {
		return nil, err
	}
	id := claims.ID
	if id == "" || len(id) > 256 {
		id = secret.ID()
	}
	return &mint.User{
		Client: kind.Client, Who: who,
		Claims: &oauth.AccessTokenClaims{
			ClientID: kind.Client.ID, Scope: legacyScopes(kind, claims),
			ExpiresAt: int64(claims.Expires), ID: kind.Name + ":" + id,
		},
	}, nil
}

// checkLegacy finds the kind of a token and checks what it says.
func (d *Door) checkLegacy(c call) (*registry.Legacy, *legacyClaims, error) {
	invalid := oauth.Refuse(oauth.InvalidRequest, "The subject_token is no legacy token that this service may exchange: not of a declared issuer and audience, expired, or changed.")
	now := d.Now()
	for _, kind := range c.group.Legacy(c.client.Subsystem) {
		payload, header, err := kind.Verify(c.subjectToken)
		if err != nil {
			continue
		}
		claims := new(legacyClaims)
		if err := jose.Decode(payload, claims); err != nil || claims.Issuer != kind.Issuer || !claims.Audience.Has(kind.Audience) {
			continue
		}
		switch {
		case !now.Before(kind.Until):
			return nil, nil, refuse(oauth.InvalidRequest, "Legacy tokens %s are not taken any more.", kind.Name)
		case !slices.Contains(legacyTypes, strings.ToLower(header.Typ)):
			return nil, nil, invalid
		case claims.Subject == "", claims.Expires <= 0, claims.Expires > 1<<40, int64(claims.Expires) <= now.Unix():
			return nil, nil, invalid
		case claims.NotBefore > float64(now.Add(legacyAhead).Unix()), claims.IssuedAt > float64(now.Add(legacyAhead).Unix()):
			return nil, nil, invalid
		case claims.Confirmation != nil:
			return nil, nil, oauth.Refuse(oauth.InvalidRequest, "The subject_token is bound to a key (cnf), which cannot be proved here.")
		}
		return kind, claims, nil
	}
	return nil, nil, invalid
}

// legacyPerson is who the issuer's subject is here: whose account is connected with it.
func (d *Door) legacyPerson(ctx context.Context, claims *legacyClaims) (account.Ref, error) {
	var who *account.Account
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = d.People.ByIdentity(ctx, tx, claims.Issuer, claims.Subject)
		return err
	})
	if errors.Is(err, account.ErrUnknown) || err == nil && !who.Active() {
		return account.Ref{}, oauth.Refuse(oauth.InvalidRequest, "The sub of the subject_token is nobody here.")
	}
	if err != nil {
		return account.Ref{}, err
	}
	return who.Ref, nil
}

// legacyScopes are what the scopes of a token stand for.
func legacyScopes(kind *registry.Legacy, claims *legacyClaims) oauth.Scopes {
	var scopes oauth.Scopes
	for _, scope := range slices.Concat(claims.Scope, claims.ScopeList) {
		scopes = append(scopes, kind.Scopes[scope]...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}
