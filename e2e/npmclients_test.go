package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// npmGroup is the group of the clients from npm. Beside what groupFile has:
// a client for each way to authenticate, public ones with refresh tokens, a
// service context between services.
const npmGroup = `
name: { en: Test Group, ja: テストグループ }
issuer: $ISSUER
subsystems:
  market:
    scenario: service
    resource:
      audience: https://api.market.test
      scopes: { items.read: See your items, items.write: Sell items }
    clients:
      backend: { auth: private_key_jwt, jwks: $MARKET_KEYS }
  pay:
    scenario: service
    resource:
      audience: https://api.pay.test
      scopes: { charge: Pay with your balance, charge.report: See what was paid, transfer: Send money }
      authorization_details:
        transfer:
          name: Send money
          scope: transfer
          schema: { required: [amount, to], properties: { amount: { type: number, exclusiveMinimum: 0 }, to: { type: string } } }
          members: [{ path: amount, name: Amount, narrow: at_most }, { path: to, name: To }]
    clients:
      backend: { auth: client_secret_post, secret_sha256: [$HASH_PAY] }
  market-app:
    scenario: app
    identity: [profile, email]
    clients:
      web: { secret_sha256: [$HASH_APP], redirect_uris: ["$RP/app"], post_logout_redirect_uris: ["$RP/bye"] }
      posting: { auth: client_secret_post, secret_sha256: [$HASH_APP], id_token_alg: ES256, redirect_uris: ["$RP/posting"], post_logout_redirect_uris: ["$RP/bye"] }
      phone: { type: native, redirect_uris: ["$RP/phone"] }
      fapi: { profile: fapi2-message-signing, sender_constraint: dpop_with_nonce, jwks: $MARKET_KEYS, redirect_uris: ["$RP/fapi"] }
      spa: { type: spa, redirect_uris: ["$RP/spa"], post_logout_redirect_uris: ["$RP/spa"] }
  partner:
    scenario: third_party
    clients:
      web: { secret_sha256: [$HASH_PARTNER], redirect_uris: ["$RP/partner"] }
calls:
  - { from: market-app, to: market, user: [items.read, items.write] }
  - { from: market-app, to: pay, user: [charge, transfer] }
  - { from: market, to: pay, service: [charge.report] }
  - { from: pay, to: market, user: [{ scope: items.read, when: [charge] }] }
  - { from: partner, to: market, user: [items.read] }
`

// npmTold is what the scripts of the clients are told.
type npmTold struct {
	Issuer    string            `json:"issuer"`
	Reference string            `json:"reference,omitempty"` // issuer of node-oidc-provider
	MarketAPI string            `json:"marketAPI"`
	PayAPI    string            `json:"payAPI"`
	Email     string            `json:"email"`
	Secrets   map[string]string `json:"secrets"`
	Redirects map[string]string `json:"redirects"`
	MarketKey jose.JSONWebKey   `json:"marketKey"`
}

// newNPMServer starts a server for the clients from npm, with further flags.
func newNPMServer(t *testing.T, relyingParties string, flags ...string) (*server, npmTold) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "market-1", Algorithm: "ES256", Use: "sig"}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	group := (&site{URL: relyingParties}).fill(strings.ReplaceAll(npmGroup, "$MARKET_KEYS", string(public)))
	as := newServer(t, group)
	as.args = append(as.args, flags...)
	as.start(t)
	told := npmTold{
		Issuer: as.Issuer, MarketAPI: marketAPI, PayAPI: payAPI, Email: email, MarketKey: private,
		Secrets:   map[string]string{"web": appSecret, "pay": paySecret, "partner": partnerSecret},
		Redirects: map[string]string{},
	}
	for _, name := range []string{"phone", "posting", "spa", "fapi", "partner", "bye"} {
		told.Redirects[name] = relyingParties + "/" + name
	}
	told.Redirects["web"] = relyingParties + "/app"
	return as, told
}

func TestOpenIDClient(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	_, told := newNPMServer(t, newSite(t).URL)
	startScript(t, "openid-client.js", told).play(newPerson(t), []string{
		"discovery",
		"code with PKCE, confidential client",
		"refresh, confidential client",
		"userinfo",
		"introspection",
		"token exchange",
		"client credentials with private_key_jwt",
		"silent sign-in",
		"FAPI 2.0 with DPoP, a signed request and a signed response",
		"code with PKCE, public client",
		"refresh with rotation",
		"consent at a third party",
		"revocation",
		"sign-out",
	})
}

func TestOAuth4WebAPI(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	_, told := newNPMServer(t, newSite(t).URL)
	startScript(t, "oauth4webapi.js", told).play(newPerson(t), []string{
		"discovery",
		"code with PKCE, confidential client",
		"access token as RFC 9068 has it",
		"userinfo",
		"introspection",
		"signed introspection",
		"token exchange",
		"token exchange for an ID token",
		"client credentials with private_key_jwt",
		"fresh sign-in within max_age",
		"pushed authorization request, confidential client", "pushed authorization request, public client",
		"signed authorization response",
		"FAPI 2.0 with DPoP and a signed request", "authorization details narrowed by a refresh", "bound token at userinfo", "bound refresh token", "exchange of a bound token",
		"code with PKCE, public client",
		"refresh with rotation",
		"revocation",
		"wrong credentials",
		"sign-out",
	})
}
