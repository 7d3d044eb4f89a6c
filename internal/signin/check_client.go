package signin

import (
	"cmp"
	"context"
	"strings"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Above the line: who asks, and where may the answer go?

func checkOneClient(_ context.Context, a *asking) error {
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(a.values[name]) > 1 {
			return web.RefuseRepeated(name)
		}
	}
	return nil
}

func loadClient(_ context.Context, a *asking) error {
	id := a.get("client_id")
	if id == "" {
		return oauth.Refuse(oauth.InvalidRequest, "The client_id is missing.")
	}
	client, ok := a.group.Client(id)
	if !ok {
		return oauth.Refuse(oauth.InvalidRequest, "The client_id is not known here.")
	}
	a.client, a.request.ClientID = client, client.ID
	return nil
}

func checkCodeFlow(_ context.Context, a *asking) error {
	err := a.client.AllowsGrant(oauth.GrantAuthorizationCode)
	if err == nil {
		return nil
	}
	why := strings.TrimPrefix(err.Error(), registry.ErrGrantRefused.Error()+": ")
	return oauth.Refuse(oauth.UnauthorizedClient, web.Plain(why))
}

// checkRedirectURI compares byte by byte, and asks for the parameter even where
// only one URI is registered: a client that relies on a default breaks on the
// day it registers a second.
func checkRedirectURI(_ context.Context, a *asking) error {
	uri := a.get("redirect_uri")
	switch {
	case uri == "":
		return oauth.Refuse(oauth.InvalidRequest, "The redirect_uri is missing. It is always required.")
	case !a.client.MatchRedirectURI(uri):
		return oauth.Refuse(oauth.InvalidRequest, "The redirect_uri is not registered for this client. It must be the same, byte for byte.")
	}
	a.request.RedirectURI = uri
	return nil
}

// Below the line: can the request be answered as it is?

// readAnswer reads what every answer needs, errors too. It never refuses; what
// is wrong with either parameter is for the checks after it.
func readAnswer(_ context.Context, a *asking) error {
	if state := a.values["state"]; len(state) == 1 && len(state[0]) <= maxState {
		a.request.State = state[0]
	}
	if mode := a.values["response_mode"]; len(mode) == 1 && responseModes[mode[0]] != "" {
		a.request.ResponseMode = responseModes[mode[0]]
	}
	return nil
}

const maxState = 2 << 10

func checkRepeated(_ context.Context, a *asking) error {
	if name := web.Repeated(a.values); name != "" {
		return web.RefuseRepeated(name)
	}
	return nil
}

func checkState(_ context.Context, a *asking) error {
	if len(a.get("state")) > maxState {
		return oauth.Refuse(oauth.InvalidRequest, "The state is longer than 2048 bytes.")
	}
	return nil
}

func checkResponseMode(_ context.Context, a *asking) error {
	if responseModes[a.get("response_mode")] == "" {
		return oauth.Refuse(oauth.InvalidRequest, "The response_mode must be query, form_post, jwt, query.jwt or form_post.jwt.")
	}
	return nil
}

func checkOrigin(_ context.Context, a *asking) error {
	switch {
	case a.client.PARRequired && !a.pushed:
		return oauth.Refuse(oauth.InvalidRequest, "This client must push its authorization requests (RFC 9126) and send a request_uri.")
	case a.client.JARRequired && !a.signed:
		return oauth.Refuse(oauth.InvalidRequest, "This client must sign its authorization requests (RFC 9101) and send a request object.")
	}
	return nil
}

func checkRequestObject(_ context.Context, a *asking) error {
	switch {
	case a.values.Has("request"):
		return oauth.Refuse(oauth.RequestNotSupported, "This client has no keys that a request object could be verified with. Send the parameters themselves.")
	case a.values.Has("request_uri"):
		return oauth.Refuse(oauth.RequestURINotSupported, "The request_uri is none that was pushed here. Push the request first, or send the parameters themselves.")
	case a.values.Has("registration"):
		return oauth.Refuse(oauth.RegistrationNotSupported, "The registration parameter is not supported. Clients are declared in the group file.")
	}
	return nil
}

func checkResponseType(_ context.Context, a *asking) error {
	switch a.get("response_type") {
	case "code":
		return nil
	case "":
		return oauth.Refuse(oauth.InvalidRequest, "The response_type is missing. It must be code.")
	default:
		return oauth.Refuse(oauth.UnsupportedResponseType, "The only response_type is code.")
	}
}

// checkPKCE asks every client for an S256 challenge. A confidential client may
// be declared to do without, for software that cannot send it; one that it sends
// all the same must be right.
func checkPKCE(_ context.Context, a *asking) error {
	challenge, method := a.get("code_challenge"), a.get("code_challenge_method")
	switch {
	case challenge == "" && method == "" && a.client.PKCEOptional && !a.client.Public():
		return nil
	case challenge == "":
		return oauth.Refuse(oauth.InvalidRequest, "A code_challenge is required (PKCE, RFC 7636).")
	case method != "S256":
		return oauth.Refuse(oauth.InvalidRequest, "The code_challenge_method must be S256.")
	case !validChallenge(challenge):
		return oauth.Refuse(oauth.InvalidRequest, "The code_challenge must be 43 base64url characters, the SHA-256 of the code_verifier.")
	}
	a.request.Challenge = challenge
	return nil
}

// readKey reads to which key the code, and the tokens for it, shall be bound. A
// pushed request may say so by its proof, too; both must say the same.
func readKey(_ context.Context, a *asking) error {
	key := a.get("dpop_jkt")
	switch {
	case key != "" && !validChallenge(key): // a thumbprint has the same form
		return oauth.Refuse(oauth.InvalidRequest, "The dpop_jkt must be 43 base64url characters, the SHA-256 thumbprint of the key.")
	case key != "" && a.key != "" && key != a.key:
		return oauth.Refuse(oauth.InvalidDPoPProof, "The dpop_jkt is not the thumbprint of the key of the DPoP proof.")
	}
	a.request.Key = cmp.Or(a.key, key)
	return nil
}

// validChallenge reports whether s is the base64url form of 32 bytes. Spellings
// of the last character that decode to the same bytes pass: they verify nothing.
func validChallenge(s string) bool {
	const length = 43
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) == length
}
