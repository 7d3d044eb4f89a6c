package web

import (
	"net/http"
	"time"
)

// Cookie is the value of one of our cookies, or empty. A value longer than any
// we set is not ours.
func (p *Pages) Cookie(r *http.Request, name string) string {
	cookie, err := r.Cookie(p.cookieName(name))
	if err != nil || len(cookie.Value) > maxCookie {
		return ""
	}
	return cookie.Value
}

const maxCookie = 4 << 10

// SetCookie sets a cookie that scripts cannot read and that other sites cannot
// send with a POST. A zero life makes it end with the browser.
func (p *Pages) SetCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(name), Value: value, Path: "/",
		MaxAge: int(life.Seconds()), Secure: p.https, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// ClearCookie takes a cookie away.
func (p *Pages) ClearCookie(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(name), Path: "/",
		MaxAge: -1, Secure: p.https, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookieName adds the prefix that keeps other hosts and plain http from setting
// the cookie. Browsers refuse it without Secure, so an issuer on http loopback,
// which is for development only, goes without.
func (p *Pages) cookieName(name string) string {
	if p.https {
		return "__Host-sekisho_" + name
	}
	return "sekisho_" + name
}
