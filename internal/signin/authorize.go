package signin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// check is one demand on an authorization request. It reads what it is about
// from the parameters into the Request, or refuses.
type check struct {
	name  string
	cites string
	run   func(context.Context, *asking) error
}

// checks are made in this order. An error above the line is shown to the person,
// since it is not yet sure who would get it; an error below the line is told to
// the client at its redirect URI.
var checks = []check{
	{"one client_id, one redirect_uri", "RFC 6749 §3.1", checkOneClient},
	{"known client", "RFC 6749 §4.1.2.1", loadClient},
	{"client signs people in", "RFC 6749 §4.1.2.1", checkCodeFlow},
	{"registered redirect_uri", "RFC 9700 §4.1.3, OAuth 2.1 §4.1.1", checkRedirectURI},

	line,

	{"where and how to answer", "OAuth 2.0 Multiple Response Types §2.1", readAnswer},
	{"no parameter twice", "RFC 6749 §3.1", checkRepeated},
	{"length of state", "RFC 6749 §4.1.1", checkState},
	{"response_mode", "OAuth 2.0 Multiple Response Types §2.1, Form Post §2, JARM §2.3", checkResponseMode},
	{"pushed and signed, where it must be", "RFC 9126 §5, RFC 9101 §10.5", checkOrigin},
	{"no request object of a client without keys", "OIDC Core §3.1.2.6, §6", checkRequestObject},
	{"response_type", "RFC 6749 §3.1.1", checkResponseType},
	{"PKCE", "RFC 7636 §4.3, §4.4.1, RFC 9700 §2.1.1", checkPKCE},
	{"key of the tokens", "RFC 9449 §10", readKey},
	{"prompt", "OIDC Core §3.1.2.1, Initiating User Registration §4", readPrompt},
	{"max_age", "OIDC Core §3.1.2.1", readMaxAge},
	{"nonce", "OIDC Core §3.1.2.1", readNonce},
	{"authorization details", "RFC 9396 §2, §5", readDetails},
	{"scope and resource", "RFC 6749 §3.3, RFC 8707 §2", readScope},
	{"claims", "OIDC Core §5.5", readClaims},
	{"acr_values", "OIDC Core §3.1.2.1, RFC 9470 §4", readACRValues},
	{"id_token_hint", "OIDC Core §3.1.2.1", readIDTokenHint},
	{"hints for the page", "OIDC Core §3.1.2.1", readHints},
}

var line = check{name: "errors are redirected from here on"}

// shown is an error that stays on our page.
type shown struct{ error }

// redirected is an error that goes to the client.
type redirected struct {
	error
	request *Request
}

func (e shown) Unwrap() error      { return e.error }
func (e redirected) Unwrap() error { return e.error }

// origin is how a request came here.
type origin struct {
	pushed bool   // by the client itself
	signed bool   // as a request object
	key    string // of the DPoP proof that it came with (RFC 9449 §10.1)
}

// asking is an authorization request while it is checked.
type asking struct {
	door   *Door
	values url.Values
	origin
	group   *registry.Snapshot
	client  *registry.Client
	request *Request
}

// get is a parameter that is there at most once.
func (a *asking) get(name string) string { return a.values.Get(name) }

// parse runs the checks. The error is a shown or a redirected one.
func (d *Door) parse(ctx context.Context, values url.Values, from origin) (*Request, error) {
	a := &asking{door: d, values: values, origin: from, group: d.Registry.Current(), request: &Request{ResponseMode: modeQuery}}
	below := false
	for _, c := range checks {
		if c.run == nil {
			below = true
			continue
		}
		switch err := c.run(ctx, a); {
		case err == nil:
		case below:
			return nil, redirected{err, a.request}
		default:
			return nil, shown{err}
		}
	}
	return a.request, nil
}

// Authorize is the authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2).
func (d *Door) Authorize(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.authorize) }

func (d *Door) authorize(w http.ResponseWriter, r *http.Request) (answer, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return answer{}, refuseMethod(w, "GET, POST")
	}
	values, err := web.ReadParameters(w, r, web.FormLimit)
	if err != nil {
		return answer{}, shown{err}
	}
	event := web.Event(r.Context())
	event.Set("client", values.Get("client_id"))
	request, err := d.asked(r.Context(), values)
	if err != nil {
		return answer{}, err
	}
	if again, ok := d.withCookies(r, values); ok {
		return again, nil
	}
	f, err := d.begin(r, request)
	if err != nil {
		return answer{}, err
	}
	return d.proceed(w, r, f)
}

// asked is the request of the parameters, the one that they name, or the one in
// their request object.
func (d *Door) asked(ctx context.Context, values url.Values) (*Request, error) {
	if isPushed(values) {
		return d.loadPushed(ctx, values)
	}
	client, ok := d.Registry.Current().Client(values.Get("client_id"))
	if !ok || len(values["client_id"]) > 1 {
		return d.parse(ctx, values, origin{}) // which is refused
	}
	inner, signed, err := d.unwrap(client, values)
	if err != nil {
		return nil, shown{err}
	}
	return d.parse(ctx, inner, origin{signed: signed})
}

// longestQuery is how much of the 8 KiB that a URL may have is left for a query.
const longestQuery = 7 << 10

// withCookies sends a POST from another site around once as a GET. Our cookies
// are SameSite=Lax, so such a POST comes without them and a person who is signed
// in would look like a stranger.
func (d *Door) withCookies(r *http.Request, values url.Values) (answer, bool) {
	if r.Method != http.MethodPost || d.Pages.KnownBrowser(r).Hash() != nil || d.Pages.Cookie(r, sessionCookie) != "" {
		return answer{}, false
	}
	query := values.Encode()
	if len(query) > longestQuery {
		return answer{}, false
	}
	return answer{location: r.URL.Path + "?" + query}, true
}

func refuseMethod(w http.ResponseWriter, allowed string) error {
	w.Header().Set("Allow", allowed)
	return shown{&oauth.Error{
		Code: oauth.InvalidRequest, Status: http.StatusMethodNotAllowed,
		Description: "This page answers to " + allowed + " only.",
	}}
}
