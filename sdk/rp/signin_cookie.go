package rp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	cookieKeyBytes = 32
	maxPending     = 5 // sign-ins under way in one browser; the oldest makes room
	maxReturnBytes = 1 << 10
	pendingLife    = 30 * time.Minute // as long as the server keeps a sign-in page open
)

// pendingSignIn is what must be known again when the browser comes back. It
// travels sealed in a cookie named by its state.
type pendingSignIn struct {
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	ReturnTo string `json:"r"`
	MaxAge   int64  `json:"m,omitempty"` // seconds
	Started  int64  `json:"t"`           // unix seconds
}

// cookiePrefix takes the browser's own protection where the site is https: a
// __Host- cookie cannot be set by another host or over plain http. It names the
// sign-in that it is for, since sites that share a host, as on localhost, see
// each other's cookies.
func (s *SignIn) cookiePrefix() string {
	whose := sha256.Sum256(s.bound(""))
	prefix := "sekisho-signin-" + base64.RawURLEncoding.EncodeToString(whose[:6]) + "-"
	if s.secure {
		return "__Host-" + prefix
	}
	return prefix
}

func (s *SignIn) cookieName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return s.cookiePrefix() + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// keep sets the cookie of one sign-in and drops those that are over or too many.
func (s *SignIn) keep(w http.ResponseWriter, r *http.Request, state string, pending pendingSignIn) error {
	plain, err := json.Marshal(pending)
	if err != nil {
		return err
	}
	s.makeRoom(w, r)
	name := s.cookieName(state)
	sealed := s.seal.Seal(nil, nil, plain, s.bound(name))
	http.SetCookie(w, s.cookie(name, base64.RawURLEncoding.EncodeToString(sealed), int(pendingLife/time.Second)))
	return nil
}

// take reads the sign-in that state belongs to and removes its cookie.
func (s *SignIn) take(w http.ResponseWriter, r *http.Request, state string) (pendingSignIn, bool) {
	name := s.cookieName(state)
	held, err := r.Cookie(name)
	if err != nil {
		return pendingSignIn{}, false
	}
	http.SetCookie(w, s.cookie(name, "", -1))
	return s.open(held)
}

// open unseals a cookie of this sign-in that is not over.
func (s *SignIn) open(held *http.Cookie) (pending pendingSignIn, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(held.Value)
	if err != nil {
		return pending, false
	}
	plain, err := s.seal.Open(nil, nil, sealed, s.bound(held.Name))
	if err != nil {
		return pending, false
	}
	if err := json.Unmarshal(plain, &pending); err != nil {
		return pending, false
	}
	age := s.config.Client.now().Sub(time.Unix(pending.Started, 0))
	return pending, age < pendingLife
}

// makeRoom removes the cookies of sign-ins that cannot be finished any more,
// and the oldest where too many are under way.
func (s *SignIn) makeRoom(w http.ResponseWriter, r *http.Request) {
	var oldest string
	var oldestStart int64
	alive := 0
	for _, held := range r.Cookies() {
		if !strings.HasPrefix(held.Name, s.cookiePrefix()) {
			continue
		}
		pending, ok := s.open(held)
		if !ok {
			http.SetCookie(w, s.cookie(held.Name, "", -1))
			continue
		}
		alive++
		if oldest == "" || pending.Started < oldestStart {
			oldest, oldestStart = held.Name, pending.Started
		}
	}
	if alive >= maxPending {
		http.SetCookie(w, s.cookie(oldest, "", -1))
	}
}

// cookie is Lax: the browser comes back by a top-level navigation from the
// server's origin, which Strict would strip.
func (s *SignIn) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// bound ties a sealed sign-in to its cookie, client and server, so that it
// opens nowhere else under the same key.
func (s *SignIn) bound(cookieName string) []byte {
	client := s.config.Client
	return []byte(strings.Join([]string{"sekisho sign-in 1", client.Issuer, client.ID, s.config.RedirectURL, cookieName}, "\x00"))
}
