package app

import (
	"net/http"

	"github.com/sekisho-id/sekisho/internal/registration"
	"github.com/sekisho-id/sekisho/internal/upstream"
	"github.com/sekisho-id/sekisho/internal/web"
)

// Handler serves every public URL.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range a.documents() {
		mux.Handle(pattern, handler)
	}
	for pattern, handler := range a.routes() {
		mux.Handle(pattern, web.Bound(a.withGenerations(a.admit(pattern, handler))))
	}
	return a.tracer.Handler(web.Log(a.config.Logger, a.observe, web.Recover(web.Harden(mux))))
}

// documents and routes are all public URLs, on one screen.
//
// Documents are what the server says of itself: bytes made before, that read
// no body and wait for nothing.
func (a *App) documents() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /.well-known/openid-configuration":       a.token.Metadata,
		"GET /.well-known/oauth-authorization-server": a.token.Metadata,
		"GET /.well-known/ssf-configuration":          a.Courier.Metadata,
		"GET /oauth2/jwks":                            a.token.JWKS,
		"GET /assets/{name}":                          a.pages.Asset,
		"GET /theme/{name}":                           a.pages.Theme,
	}
}

func (a *App) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		// what a client asks for
		"/oauth2/token":      a.token.Token,
		"/oauth2/par":        a.token.PushedRequest,
		"/oauth2/introspect": a.token.Introspect,
		"/oauth2/revoke":     a.token.Revoke,
		"/oauth2/userinfo":   a.token.Userinfo,
		"/subjects/convert":  a.subjects.Convert,
		"/subjects/reissue":  a.subjects.Reissue,

		// how a third party registers its clients
		registration.Path:               a.registration.Register,
		registration.Path + "/{client}": a.registration.Client,

		// events: publishers, and the streams of receivers
		"/events":              a.Courier.Publish,
		"/ssf/streams":         a.Courier.Streams,
		"/ssf/status":          a.Courier.Status,
		"/ssf/subjects/add":    a.Courier.AddSubject,
		"/ssf/subjects/remove": a.Courier.RemoveSubject,
		"/ssf/verify":          a.Courier.Verify,
		pollRoute:              a.Courier.Poll,

		// what a browser sees
		"/oauth2/authorize":                 a.signin.Authorize,
		"GET /signin/{request}":             a.signin.SignInPage,
		"POST /signin/{request}":            a.signin.SignIn,
		"GET /signin/{request}/{provider}":  a.signin.SignInWith,
		upstream.Path + "{provider}":        a.signin.FromUpstream,
		"GET /account/security/{provider}":  a.signin.ConnectWith,
		"POST /account/security/{provider}": a.signin.Connect,
		"GET /verify/{request}":             a.signin.VerifyPage,
		"POST /verify/{request}":            a.signin.Verify,
		"GET /signup/{request}":             a.signin.SignUpPage,
		"POST /signup/{request}":            a.signin.SignUp,
		"GET /consent/{request}":            a.signin.ConsentPage,
		"POST /consent/{request}":           a.signin.Consent,
		"/oauth2/logout":                    a.signin.Logout,
		"GET /account":                      a.signin.AccountPage,
		"GET /account/security":             a.signin.SecurityPage,
		"POST /account/security":            a.signin.Security,
		"GET /recover":                      a.signin.RecoverPage,
		"POST /recover":                     a.signin.Recover,
		"GET /recover/{token}":              a.signin.ChoosePasswordPage,
		"POST /recover/{token}":             a.signin.ChoosePassword,

		"GET /confirm-email/{token}":  a.signin.ConfirmEmailPage,
		"POST /confirm-email/{token}": a.signin.ConfirmEmail,

		"POST /account":          a.signin.ChangeAccount,
		"GET /account/data":      a.signin.AccountData,
		"GET /account/delete":    a.signin.DeletePage,
		"POST /account/delete":   a.signin.Delete,
		"POST /account/withdraw": a.signin.Withdraw,
		"/":                      a.signin.NotFound,
	}
}

// urgencies say what is refused last when there is too much to do; what is not here
// is a page of a sign-in, or the management of streams. What waits on purpose is not counted.
var urgencies = map[string]web.Urgency{
	"/oauth2/introspect": web.Checks,
	"/oauth2/userinfo":   web.Checks,
	"/subjects/convert":  web.Checks,
	"/subjects/reissue":  web.Tokens,
	"/oauth2/token":      web.Tokens,
	"/oauth2/revoke":     web.Tokens,
	"/events":            web.Tokens,

	registration.Path:               web.SignUps,
	registration.Path + "/{client}": web.SignUps,
	"GET /signup/{request}":         web.SignUps,
	"POST /signup/{request}":        web.SignUps,
}

const pollRoute = "/ssf/poll/{stream}"

// admit refuses requests of a route while too many are under way.
func (a *App) admit(pattern string, handler http.HandlerFunc) http.HandlerFunc {
	if pattern == pollRoute {
		return handler
	}
	urgency, ok := urgencies[pattern]
	if !ok {
		urgency = web.SignIns
	}
	return a.admission.Admit(urgency, handler)
}
