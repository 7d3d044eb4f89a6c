package rp

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/cache"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
)

const (
	maxLogoutBytes = 64 << 10
	logoutLife     = 5 * time.Minute  // at most, of a logout token
	maxLogouts     = 100_000          // remembered, to know one that comes again
	logoutMemory   = 30 * time.Minute // the server tries for ten
)

// Logout is what the authorization server says of somebody who signed out. One
// of SessionID and Subject is set, or both.
type Logout struct {
	Issuer    string
	Subject   string // as in Identity
	SessionID string // the sid of the sign-in's ID token; empty: all sessions of the subject
}

// LogoutHandler serves the client's backchannel_logout_uri (OIDC Back-Channel
// Logout §2.5). End ends this site's own sessions that came from the sign-in:
// those with the SessionID, or all of the Subject where there is none. It is
// called once for each logout; after an error the server tries again.
func (c *Client) LogoutHandler(end func(ctx context.Context, logout Logout) error) http.Handler {
	return &logoutReceiver{client: c, end: end, known: cache.New[string, struct{}](maxLogouts, c.now)}
}

type logoutReceiver struct {
	client *Client
	end    func(ctx context.Context, logout Logout) error

	flight singleflight.Group
	known  *cache.LRU[string, struct{}] // jti of what was ended
}

// ServeHTTP answers as OIDC Back-Channel Logout §2.8 says: 200, or 400 with the
// error as JSON. Our own failure is none of the token's, so that it comes again.
func (l *logoutReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	var refusal *oauth.Error
	err := l.receive(w, r)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.As(err, &refusal):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(refusal.HTTPStatus())
		// The status is sent; an answer that cannot be written has nobody to tell.
		_ = json.NewEncoder(w).Encode(refusal)
	default:
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (l *logoutReceiver) receive(w http.ResponseWriter, r *http.Request) error {
	compact, err := logoutToken(w, r)
	if err != nil {
		return err
	}
	claims, err := l.client.verifyLogoutToken(r.Context(), compact)
	if err != nil {
		return err
	}
	// The server sends a token again when our answer was lost. That must not
	// end the sessions that were begun since.
	_, err, _ = l.flight.Do(claims.ID, func() (any, error) {
		if _, known := l.known.Get(claims.ID); known {
			return nil, nil
		}
		err := l.end(r.Context(), Logout{Issuer: claims.Issuer, Subject: claims.Subject, SessionID: claims.SessionID})
		if err == nil {
			l.known.Put(claims.ID, struct{}{}, l.client.now().Add(logoutMemory))
		}
		return nil, err
	})
	var refusal *oauth.Error
	if errors.As(err, &refusal) {
		return errors.New(refusal.Error()) // of the site's own calls, nothing for this caller
	}
	return err
}

// logoutToken reads the one parameter of the request (OIDC Back-Channel Logout
// §2.5); others are ignored.
func logoutToken(w http.ResponseWriter, r *http.Request) (string, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return "", refuseLogout("The request is no form.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutBytes)
	if err := r.ParseForm(); err != nil {
		return "", refuseLogout("The form cannot be read.")
	}
	values := r.PostForm["logout_token"]
	if len(values) != 1 || values[0] == "" {
		return "", refuseLogout("The form needs one logout_token.")
	}
	return values[0], nil
}

func refuseLogout(why string) error { return oauth.Refuse(oauth.InvalidRequest, why) }

// logoutClaims are a logout token's claims with one that it must not have.
type logoutClaims struct {
	oauth.LogoutTokenClaims
	Nonce json.RawMessage `json:"nonce"`
}

// verifyLogoutToken is OIDC Back-Channel Logout §2.6. That the token is no ID
// token, nor an ID token one of these, shows in its typ (RFC 8725 §3.11), in
// events, and in that there is no nonce.
func (c *Client) verifyLogoutToken(ctx context.Context, compact string) (*logoutClaims, error) {
	kind := issuer.Kind{
		Types:      []string{oauth.TypLogout},
		Algorithms: []jose.SignatureAlgorithm{jose.ES256, jose.RS256},
	}
	var claims logoutClaims
	err := c.keys.Verify(ctx, compact, kind, &claims)
	switch {
	case errors.Is(err, issuer.ErrMalformed), errors.Is(err, issuer.ErrKind):
		return nil, refuseLogout("The token is no logout token.")
	case errors.Is(err, issuer.ErrSignature), errors.Is(err, issuer.ErrUnknownKey) && !errors.Is(err, issuer.ErrNotAsked):
		return nil, refuseLogout("The signature of the token is not its issuer's.")
	case err != nil:
		return nil, err
	}
	if fault := c.logoutFaultOf(&claims); fault != "" {
		return nil, refuseLogout(fault)
	}
	return &claims, nil
}

func (c *Client) logoutFaultOf(claims *logoutClaims) string {
	now := c.now()
	issued, expires := time.Unix(claims.IssuedAt, 0), time.Unix(claims.ExpiresAt, 0)
	switch {
	case claims.Issuer != c.Issuer:
		return "The token is of another issuer."
	case len(claims.Audience) != 1 || claims.Audience[0] != c.ID:
		return "The token is for another client."
	case issued.After(now.Add(clockSkew)):
		return "The token was issued in the future; compare the clocks."
	case !now.Before(expires.Add(clockSkew)), !now.Before(issued.Add(logoutLife + clockSkew)):
		return "The token has expired."
	case claims.Subject == "" && claims.SessionID == "":
		return "The token names neither a person nor a session."
	case claims.ID == "":
		return "The token has no jti."
	case len(claims.Nonce) > 0:
		return "The token has a nonce, as ID tokens have."
	}
	var event map[string]json.RawMessage
	if json.Unmarshal(claims.Events[oauth.EventBackChannelLogout], &event) != nil || event == nil {
		return "The token is about no logout."
	}
	return ""
}
