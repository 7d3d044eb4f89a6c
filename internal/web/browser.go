package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

const browserCookie = "browser"

// Browser is one browser, known by a random cookie that names nobody. Forms and
// stored requests are bound to it.
type Browser struct {
	value string
	key   []byte
}

// Browser reads the browser's cookie, or sets a new one.
func (p *Pages) Browser(w http.ResponseWriter, r *http.Request) Browser {
	if known := p.KnownBrowser(r); known.value != "" {
		return known
	}
	return p.NewBrowser(w)
}

// KnownBrowser reads the browser's cookie and sets none. A browser without one
// has no stored request and no valid form.
func (p *Pages) KnownBrowser(r *http.Request) Browser {
	return Browser{value: p.Cookie(r, browserCookie), key: p.key}
}

// NewBrowser sets a new cookie: forms and stored requests made before are no
// longer this browser's. That is wanted when the person in front of it changes.
func (p *Pages) NewBrowser(w http.ResponseWriter) Browser {
	value := secret.Token("")
	p.SetCookie(w, browserCookie, value, 0)
	return Browser{value: value, key: p.key}
}

// Hash is what may be stored of the cookie; nil for a browser without one.
func (b Browser) Hash() []byte {
	if b.value == "" {
		return nil
	}
	return secret.Hash(b.value)
}

// Token is the CSRF token of one form, named by purpose. It proves that the
// form was made by this server, for this browser, for this purpose.
func (b Browser) Token(purpose string) string {
	mac := hmac.New(sha256.New, b.key)
	mac.Write([]byte(b.value))
	mac.Write([]byte{0})
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ErrForged is a POST that did not come from our own page in this browser.
var ErrForged = &oauth.Error{
	Code: oauth.InvalidRequest, Status: http.StatusForbidden,
	Description: "This form was not sent from our page in this browser, or the page is too old. Go back, reload the page and try again.",
}

// CheckPost refuses a POST from another site, and one without the token of this
// browser and purpose. Nothing may change before it has passed.
func (p *Pages) CheckPost(r *http.Request, browser Browser, purpose, token string) error {
	if err := p.checkOrigin(r); err != nil {
		Event(r.Context()).Set("cause", err.Error())
		return ErrForged
	}
	if browser.value == "" || !secret.Equal([]byte(token), []byte(browser.Token(purpose))) {
		return ErrForged
	}
	return nil
}

// checkOrigin asks Sec-Fetch-Site first. A browser too old to send it sends
// Origin, which must be the issuer even where a proxy rewrote Host.
func (p *Pages) checkOrigin(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == p.origin {
		return nil
	}
	return p.crossOrigin.Check(r)
}
