package signin

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/oauth"
)

// Below the line: what is asked about the person and the sign-in.

const (
	maxNonce     = 512
	maxLoginHint = 320
	maxLocales   = 256
)

// readPrompt reads the list of prompts. A prompt we do not know is refused: to
// leave out an interaction that a client counts on would be worse.
func readPrompt(_ context.Context, a *asking) error {
	prompt := &a.request.Prompt
	values := strings.Fields(a.get("prompt"))
	for _, value := range values {
		switch value {
		case "none":
			prompt.None = true
		case "login":
			prompt.Login = true
		case "consent":
			prompt.Consent = true
		case "select_account":
			prompt.SelectAccount = true
		case "create":
			prompt.Create = true
		default:
			return oauth.Refuse(oauth.InvalidRequest, "The prompt must be made of none, login, consent, select_account and create.")
		}
	}
	if prompt.None && len(values) > 1 {
		return oauth.Refuse(oauth.InvalidRequest, "The prompt none must stand alone.")
	}
	if prompt.Login {
		a.request.ExactTime = true
	}
	return nil
}

func readMaxAge(_ context.Context, a *asking) error {
	text := a.get("max_age")
	if text == "" {
		return nil
	}
	// 31 bits: a longer time than that is no wish, and must not overflow.
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return oauth.Refuse(oauth.InvalidRequest, "The max_age must be a number of seconds, zero or more.")
	}
	age := int64(seconds) //nolint:gosec // of 31 bits
	a.request.MaxAge = &age
	a.request.ExactTime = true
	if age == 0 {
		a.request.Prompt.Login = true // OIDC Core §3.1.2.1: zero asks for what prompt=login asks
	}
	return nil
}

// readNonce keeps the nonce as it is. With a code it is never mandatory
// (OIDC Core §3.1.2.1).
func readNonce(_ context.Context, a *asking) error {
	nonce := a.get("nonce")
	if len(nonce) > maxNonce {
		return oauth.Refuse(oauth.InvalidRequest, "The nonce is longer than 512 bytes.")
	}
	a.request.Nonce = nonce
	return nil
}

// readScope reads what the client wants to do: scopes, at which resources, and in
// what detail.
func readScope(_ context.Context, a *asking) error {
	scopes, err := oauth.ParseScopes(a.get("scope"))
	if err != nil {
		return oauth.Refuse(oauth.InvalidScope, "The scope must be at most 50 scope names with single spaces between.")
	}
	details, err := a.request.details()
	if err != nil {
		return err
	}
	if len(scopes) == 0 && details == nil {
		return oauth.Refuse(oauth.InvalidScope, "The scope is missing. Ask for openid to learn who signs in.")
	}
	a.request.Scope, a.request.Resources = scopes, a.values["resource"]
	_, refusal := scopePolicy{group: a.group, client: a.client}.resolve(a.request.Scope, a.request.Resources, details)
	if refusal != nil {
		return refusal
	}
	return nil
}

func readClaims(ctx context.Context, a *asking) error {
	text := a.get("claims")
	claims, err := parseClaims(text)
	if err != nil {
		return oauth.Refuse(oauth.InvalidRequest, "The claims parameter is not a JSON object as OpenID Connect Core 5.5 describes it.")
	}
	a.request.Claims = text
	if _, asked := claims.IDToken["auth_time"]; asked {
		a.request.ExactTime = true
	}
	if acr := claims.IDToken["acr"]; acr != nil && acr.Essential {
		if wanted := acr.texts(); len(wanted) > 0 {
			least, ok := leastACR(wanted)
			if !ok {
				return refuseACR() // OIDC Core §5.5.1.1
			}
			a.request.ACR = least
		}
	}
	// OIDC Core §5.5.1: a requested sub names the only person to answer about.
	for _, of := range []map[string]*claimRequest{claims.IDToken, claims.UserInfo} {
		if wanted := of["sub"].texts(); len(wanted) > 0 {
			if err := a.requireSubject(ctx, wanted[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readACRValues refuses when none of the wished levels can be reached, so that no
// client takes a lower one for what it asked (RFC 9470 §5). Of several the lowest is
// enough.
func readACRValues(_ context.Context, a *asking) error {
	wanted := strings.Fields(a.get("acr_values"))
	if len(wanted) == 0 {
		return nil
	}
	least, ok := leastACR(wanted)
	if !ok {
		return refuseACR()
	}
	if weaker(a.request.ACR, least) {
		a.request.ACR = least
	}
	return nil
}

// readIDTokenHint finds out about whom alone the client wants an answer. The
// hint must be an ID token we made for this client; it may have expired.
func readIDTokenHint(ctx context.Context, a *asking) error {
	text := a.get("id_token_hint")
	if text == "" {
		return nil
	}
	hint, err := a.door.Mint.CheckIDTokenHint(ctx, text)
	if errors.Is(err, mint.ErrInvalid) || err == nil && hint.Client.ID != a.client.ID {
		return oauth.Refuse(oauth.InvalidRequest, "The id_token_hint is not an ID token of this server for this client.")
	}
	if err != nil {
		return err
	}
	return a.requirePerson(ctx, hint.Who)
}

// requireSubject is requirePerson for the person behind a subject of the
// client's sector.
func (a *asking) requireSubject(ctx context.Context, subject string) error {
	who, err := a.door.Mint.Pairwise.ResolveOne(ctx, a.client.Subsystem.Sector, subject)
	if err != nil {
		return err
	}
	return a.requirePerson(ctx, who)
}

// nobody is an account id that no session has.
const nobody = "nobody"

// requirePerson makes sure that no answer is given about another person. A
// person that is gone, or two different ones, can never sign in.
func (a *asking) requirePerson(ctx context.Context, who account.Ref) error {
	id := nobody
	if !who.Nobody() {
		err := a.door.DB.Read(ctx, func(tx *db.Tx) error {
			found, err := a.door.People.ByHandle(ctx, tx, who.Handle)
			if errors.Is(err, account.ErrUnknown) {
				return nil
			}
			if err == nil {
				id = found.ID
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if a.request.Account != "" && a.request.Account != id {
		id = nobody
	}
	a.request.Account = id
	return nil
}

// readHints keeps what only makes a page more pleasant. None of it is ever an
// error; what is too long is left out.
func readHints(_ context.Context, a *asking) error {
	if hint := a.get("login_hint"); len(hint) <= maxLoginHint {
		a.request.LoginHint = hint
	}
	if locales := a.get("ui_locales"); len(locales) <= maxLocales {
		a.request.UILocales = locales
	}
	return nil
}
