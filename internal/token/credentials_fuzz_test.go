package token

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// FuzzCredentials holds that a request authenticates its client in one way or
// not at all, and that a Basic header gives back what a client has encoded as
// RFC 6749 §2.3.1 says.
func FuzzCredentials(f *testing.F) {
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	f.Add(basic("shop.web:secret"), "")
	f.Add(basic("a%3Ab:100%25+of+it%C3%A9"), "client_id=a%3Ab")
	f.Add(basic("a:b:c"), "client_secret=x")
	f.Add("bASIC  Og==", "client_id=a")
	f.Add("Bearer x", "client_assertion=a.b.c&client_assertion_type=t")
	f.Add("Basic %", "client_id=x&client_secret=y")
	f.Add("", "client_id=x")
	f.Fuzz(func(t *testing.T, header, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", nil)
		if header != "" {
			r.Header["Authorization"] = []string{header}
		}
		got, err := readCredentials(r, form)
		if err != nil {
			var refusal *oauth.Error
			if !errors.As(err, &refusal) || refusal.HTTPStatus() >= 500 {
				t.Errorf("%q with %q: %v", header, body, err)
			}
			return
		}
		ways := 0
		for _, is := range []bool{header != "", form.Get("client_secret") != "", form.Get("client_assertion")+form.Get("client_assertion_type") != ""} {
			if is {
				ways++
			}
		}
		if ways > 1 || ways == 0 && got.Method != registry.AuthNone {
			t.Errorf("%q with %q: %+v", header, body, got)
		}
		if header == "" {
			return
		}
		var again registry.Credentials
		written := basic(url.QueryEscape(got.ClientID) + ":" + url.QueryEscape(got.Secret))
		if err := readBasic(written, &again); err != nil || again.ClientID != got.ClientID || again.Secret != got.Secret || got.Method != registry.AuthSecretBasic {
			t.Errorf("%q: %+v, written again %+v, %v", header, got, again, err)
		}
	})
}
