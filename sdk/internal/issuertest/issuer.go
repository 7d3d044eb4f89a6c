package issuertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/oauth"
)

// Secret is every client's secret.
const Secret = "a secret: 100% of it+more"

// Issuer is the server. Its fields may be changed while no request is under
// way.
type Issuer struct {
	URL          string
	Handler      http.Handler // what URL serves, for tests without a network
	Clock        *clocktest.Clock
	Key          *ecdsa.PrivateKey
	KeyID        string                      // of Key
	CacheControl string                      // of the keys
	Describe     func(*oauth.Metadata)       // changes the metadata before it is sent
	ClientKeys   map[string]*ecdsa.PublicKey // by client id, for private_key_jwt
	Answer       func(w http.ResponseWriter, form map[string][]string) bool
	Known        map[string]*oauth.Introspection
	Life         time.Duration // of access tokens
	Rekeyed      bool          // the sectors were: "alice.market" is "alice.new.market" now

	// What the group file says of events, and whom a receiver may hear of. Nil:
	// everything, everybody.
	Declared func(publisher, receiver, eventType string) bool
	Knows    func(receiver, person string) bool
	Hub      *Hub

	server *httptest.Server
	mu     sync.Mutex
	keys   []jose.JSONWebKey
	away   bool
	count  map[string]int
	codes  map[string]authorization
	forms  []map[string][]string
	batch  [][]string
	number int
	hold   chan struct{}
}

// New starts an issuer with one ES256 key, "key-1".
func New() *Issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	i := &Issuer{
		Clock:      clocktest.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
		Key:        key,
		KeyID:      "key-1",
		ClientKeys: make(map[string]*ecdsa.PublicKey),
		Known:      make(map[string]*oauth.Introspection),
		Life:       5 * time.Minute,
		count:      make(map[string]int),
		codes:      make(map[string]authorization),
	}
	i.Publish(PublicKey(key, "key-1"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.metadata)
	mux.HandleFunc("GET /oauth2/jwks", i.jwks)
	mux.HandleFunc("GET /oauth2/authorize", i.authorize)
	mux.HandleFunc("POST /oauth2/token", i.token)
	mux.HandleFunc("POST /oauth2/introspect", i.introspect)
	mux.HandleFunc("POST /oauth2/revoke", i.revoke)
	mux.HandleFunc("GET /oauth2/userinfo", i.userinfo)
	mux.HandleFunc("POST /subjects/convert", i.convert)
	mux.HandleFunc("POST /subjects/reissue", i.reissue)
	i.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.count[r.URL.Path]++
		away := i.away
		i.mu.Unlock()
		if away {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	})
	i.server = httptest.NewServer(i.Handler)
	i.URL = i.server.URL
	i.Hub = newHub(i.URL)
	i.Hub.mount(mux)
	return i
}

// Close ends the server.
func (i *Issuer) Close() { i.server.Close() }

// Away makes every request fail, or work again.
func (i *Issuer) Away(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Publish replaces the published keys.
func (i *Issuer) Publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Count is how many requests a path has had.
func (i *Issuer) Count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.count[path]
}

// Forms are the token requests so far.
func (i *Issuer) Forms() []map[string][]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]map[string][]string(nil), i.forms...)
}

// PublicKey is the published form of a key.
func PublicKey(key *ecdsa.PrivateKey, kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

// UserClaims are the claims of a good access token of a person.
func (i *Issuer) UserClaims(person, clientID, audience, scope string) map[string]any {
	now := i.Clock.Now()
	return map[string]any{
		"iss": i.URL, "sub": Subject(person, clientID), "aud": audience, "client_id": clientID,
		"iat": now.Unix(), "exp": now.Add(i.Life).Unix(), "jti": rand.Text(), "scope": scope,
		"auth_time": now.Add(-time.Hour).Unix(), "acr": "aal1", "amr": []string{"pwd"}, "sid": "session-1",
	}
}

// ServiceClaims are the claims of a good access token of a service.
func (i *Issuer) ServiceClaims(clientID, audience, scope string) map[string]any {
	now := i.Clock.Now()
	return map[string]any{
		"iss": i.URL, "sub": clientID, "aud": audience, "client_id": clientID,
		"iat": now.Unix(), "exp": now.Add(i.Life).Unix(), "jti": rand.Text(), "scope": scope,
	}
}

// With is claims with some changed; nil takes one out.
func With(claims map[string]any, changes map[string]any) map[string]any {
	changed := maps.Clone(claims)
	for name, value := range changes {
		if changed[name] = value; value == nil {
			delete(changed, name)
		}
	}
	return changed
}

// AccessToken signs claims as the issuer signs access tokens.
func (i *Issuer) AccessToken(claims map[string]any) string {
	return Sign(jose.ES256, i.Key, map[string]any{"kid": i.KeyID, "typ": "at+jwt"}, claims)
}

// Sign signs claims in any way. The header may hold anything.
func Sign(alg jose.SignatureAlgorithm, key any, header, claims map[string]any) string {
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}
