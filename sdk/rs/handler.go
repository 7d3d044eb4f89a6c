package rs

import (
	"net/http"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/tracing"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// UserHandler serves calls made for a person.
type UserHandler func(w http.ResponseWriter, r *http.Request, user *User)

// ServiceHandler serves calls a subsystem makes on its own behalf.
type ServiceHandler func(w http.ResponseWriter, r *http.Request, service *Service)

// User lets calls through that are made for a person, with a token that holds
// scope (several: separated by spaces; empty: none is needed). The token of a
// service is refused with 403. A scope that is no scope panics, as a bad
// pattern does in net/http.
func (g *Guard) User(scope string, handle UserHandler) http.Handler {
	return g.UserWith(Need{Scope: scope}, handle)
}

// Need is what a call for a person must have.
type Need struct {
	Scope  string        // as in User
	ACR    []string      // how the person has signed in: one of these; empty: in any way
	MaxAge time.Duration // how long ago at most; zero: at any time
}

// UserWith is User where the person must have signed in lately, or in a certain way.
// Else the answer is 401 insufficient_user_authentication with what is needed, for which
// the relying party sends them to sign in (RFC 9470): rp.StepUp.
func (g *Guard) UserWith(wanted Need, handle UserHandler) http.Handler {
	need := mustRequirement(wanted.Scope)
	need.acr, need.maxAge = wanted.ACR, wanted.MaxAge
	return g.traced(func(w http.ResponseWriter, r *http.Request) {
		claims, sent, err := g.admit(w, r, need)
		if err != nil {
			g.refuse(w, r, err, need)
			return
		}
		g.serveUser(w, r, userCall{claims, sent, need, handle})
	})
}

// Service lets calls through that a subsystem makes on its own behalf. The
// token of a person is refused with 403.
func (g *Guard) Service(scope string, handle ServiceHandler) http.Handler {
	need := mustRequirement(scope)
	return g.traced(func(w http.ResponseWriter, r *http.Request) {
		claims, _, err := g.admit(w, r, need)
		if err != nil {
			g.refuse(w, r, err, need)
			return
		}
		g.serveService(w, r, claims, need, handle)
	})
}

// Either serves both kinds of calls at one address, each by its own function
// and under its own scope.
func (g *Guard) Either(userScope string, user UserHandler, serviceScope string, service ServiceHandler) http.Handler {
	userNeed, serviceNeed := mustRequirement(userScope), mustRequirement(serviceScope)
	return g.traced(func(w http.ResponseWriter, r *http.Request) {
		claims, sent, err := g.admit(w, r, requirement{})
		switch {
		case err != nil:
			g.refuse(w, r, err, requirement{})
		case claims.ServiceContext():
			g.serveService(w, r, claims, serviceNeed, service)
		default:
			g.serveUser(w, r, userCall{claims, sent, userNeed, user})
		}
	})
}

// traced serves a request under the trace that it came with.
func (g *Guard) traced(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tracing.Serve(g.traces, w, r, next) })
}

type userCall struct {
	claims *tokenClaims
	sent   sentToken
	need   requirement
	handle UserHandler
}

// serveUser hands the raw token and its proof on in the context, for rp.OnBehalf
// only: a handler never sees them.
func (g *Guard) serveUser(w http.ResponseWriter, r *http.Request, call userCall) {
	user, err := call.claims.user(call.need, g.audience)
	if err == nil {
		err = call.claims.checkSignIn(call.need, g.now())
	}
	if err != nil {
		g.refuse(w, r, err, call.need)
		return
	}
	ctx := rp.WithUserToken(r.Context(), call.sent.token)
	if call.sent.dpop {
		ctx = rp.WithUserProof(ctx, call.sent.proof)
	}
	call.handle(w, r.WithContext(ctx), user)
}

func (g *Guard) serveService(w http.ResponseWriter, r *http.Request, claims *tokenClaims, need requirement, handle ServiceHandler) {
	service, err := claims.service(need)
	if err != nil {
		g.refuse(w, r, err, need)
		return
	}
	handle(w, r, service)
}

// admit finds the request's token and checks it, and that its sender may have it.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request, need requirement) (*tokenClaims, sentToken, error) {
	sent, err := readToken(r)
	if err != nil {
		return nil, sentToken{}, err
	}
	claims, err := g.check(r.Context(), sent.token, need)
	if err != nil {
		return nil, sentToken{}, err
	}
	tracing.Caller(r, claims.ClientID)
	return claims, sent, g.prove(w, r, sent, claims)
}

// readToken reads the one place a token may be in (RFC 6750 §2.1, RFC 9449 §7.1).
// Tokens in query or body end up in logs and are not read.
func readToken(r *http.Request) (sentToken, error) {
	values := r.Header.Values("Authorization")
	switch {
	case len(values) == 0:
		return sentToken{}, errNoToken
	case len(values) > 1:
		return sentToken{}, oauth.Refuse(oauth.InvalidRequest, "The request has two Authorization headers.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	sent := sentToken{token: strings.Trim(token, " "), dpop: strings.EqualFold(scheme, oauth.DPoP)}
	if !sent.dpop && !strings.EqualFold(scheme, oauth.Bearer) {
		return sentToken{}, errNoToken
	}
	if !isToken68(sent.token) {
		return sentToken{}, oauth.Refuse(oauth.InvalidRequest, "The Authorization header has no well formed access token.")
	}
	if strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token") {
		return sentToken{}, oauth.Refuse(oauth.InvalidRequest, "The request carries a token in two ways; send it in the Authorization header alone.")
	}
	if !sent.dpop {
		return sent, nil
	}
	var err error
	if sent.proof, err = dpop.FromHeader(r.Header); err != nil {
		return sentToken{}, refuseProof("The DPoP proof is refused: " + dpop.Reason(err) + ".")
	}
	return sent, nil
}

// isToken68 is the b64token of RFC 6750 §2.1.
func isToken68(token string) bool {
	body := strings.TrimRight(token, "=")
	for i := range len(body) {
		switch c := body[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return body != ""
}

func mustRequirement(scope string) requirement {
	need, err := parseRequirement(scope)
	if err != nil {
		panic("rs: " + err.Error())
	}
	return need
}
