package upstream

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// said is what a provider says of a person.
type said struct {
	Subject       string `json:"sub"`
	Email         string `json:"email"`
	EmailVerified truth  `json:"email_verified"`
	Name          string `json:"name"`
	AuthTime      int64  `json:"auth_time"`
	AuthorizedFor string `json:"azp"`
}

// truth is a boolean that some write as a text, as Apple does.
type truth bool

func (t *truth) UnmarshalJSON(text []byte) error {
	*t = truth(string(text) == "true" || string(text) == `"true"`)
	return nil
}

// read checks the ID token (OIDC Core §3.1.3.7) and reads the claims in it, and those of
// the UserInfo endpoint where the token has no address.
func (u *Upstream) read(ctx context.Context, t Trip, metadata *oidc.Provider, tokens *oauth2.Token, nonce string) (*said, error) {
	text, ok := tokens.Extra("id_token").(string)
	if !ok {
		return nil, fmt.Errorf("%w: there is no ID token", ErrRefused)
	}
	checked, err := metadata.Verifier(&oidc.Config{ClientID: t.Provider.ClientID, Now: u.Now}).Verify(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("%w: the ID token: %s", ErrRefused, outgoing.Detail(err))
	}
	claims := new(said)
	switch err := checked.Claims(claims); {
	case err != nil:
		return nil, fmt.Errorf("%w: the ID token: %w", ErrRefused, err)
	case checked.Nonce != nonce:
		return nil, fmt.Errorf("%w: the ID token has another nonce", ErrRefused)
	case claims.Subject == "" || len(claims.Subject) > account.MaxSubject:
		return nil, fmt.Errorf("%w: the ID token names nobody", ErrRefused)
	case claims.AuthorizedFor != "" && claims.AuthorizedFor != t.Provider.ClientID, len(checked.Audience) > 1 && claims.AuthorizedFor == "":
		return nil, fmt.Errorf("%w: the ID token was made for another client", ErrRefused)
	}
	if checked.AccessTokenHash != "" {
		if err := checked.VerifyAccessToken(tokens.AccessToken); err != nil {
			return nil, fmt.Errorf("%w: the access token is not that of the ID token", ErrRefused)
		}
	}
	if claims.Email != "" || metadata.UserInfoEndpoint() == "" {
		return claims, nil
	}
	return claims, u.ask(ctx, metadata, tokens, claims)
}

// ask adds what the UserInfo endpoint says (OIDC Core §5.3.2).
func (u *Upstream) ask(ctx context.Context, metadata *oidc.Provider, tokens *oauth2.Token, claims *said) error {
	info, err := metadata.UserInfo(oidc.ClientContext(ctx, u.client), oauth2.StaticTokenSource(tokens))
	if err != nil {
		return fmt.Errorf("%w: its UserInfo endpoint: %s", ErrUnavailable, outgoing.Detail(err))
	}
	var more said
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("%w: its UserInfo endpoint: %w", ErrRefused, err)
	}
	if more.Subject != claims.Subject {
		return fmt.Errorf("%w: its UserInfo endpoint speaks of somebody else", ErrRefused)
	}
	claims.Email, claims.EmailVerified = more.Email, more.EmailVerified
	if claims.Name == "" {
		claims.Name = more.Name
	}
	return nil
}

// signedInSince reports whether the provider says that the person signed in there between
// two times. One that does not say has not.
func (s *said) signedInSince(begun, now time.Time) bool {
	at := time.Unix(s.AuthTime, 0)
	return !at.Before(begun.Add(-skew)) && !at.After(now.Add(skew))
}

func (s *said) identity(p *registry.Provider) *account.Identity {
	return &account.Identity{
		Issuer: p.Issuer, Subject: s.Subject, Email: s.Email, Name: s.Name,
		EmailVerified: bool(s.EmailVerified) && p.TrustEmail && s.Email != "",
	}
}
