package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Secrets of the clients in the group file of these tests.
const (
	appSecret     = "secret-of-the-app-in-these-tests-0001"
	paySecret     = "secret-of-pay-in-these-tests-00000002"
	cryptoSecret  = "secret-of-crypto-in-these-tests-00003"
	partnerSecret = "secret-of-partner-in-these-tests-0004"
)

const (
	marketAPI = "https://api.market.test"
	payAPI    = "https://api.pay.test"
)

// groupFile is the group of these tests; $RP stands for the relying parties'
// site.
const groupFile = `
name: { en: Test Group, ja: テストグループ }
issuer: $ISSUER
subsystems:
  market:
    scenario: service
    resource:
      audience: https://api.market.test
      scopes: { items.read: See your items, items.write: Sell items, settle: Settle sales }
    clients:
      backend: { secret_sha256: [$HASH_PAY] }
  pay:
    scenario: service
    resource:
      audience: https://api.pay.test
      scopes: { charge: Pay with your balance }
    clients:
      backend: { secret_sha256: [$HASH_PAY] }
  market-app:
    scenario: app
    identity: [profile, email]
    clients:
      web: { secret_sha256: [$HASH_APP], redirect_uris: ["$RP/app"], post_logout_redirect_uris: ["$RP/bye"] }
      spa: { type: spa, redirect_uris: ["$RP/spa"] }
  shops:
    scenario: app
    clients:
      web: { secret_sha256: [$HASH_APP], redirect_uris: ["$RP/shops"] }
  crypto:
    scenario: backend
    clients:
      backend: { secret_sha256: [$HASH_CRYPTO], redirect_uris: ["$RP/crypto"] }
  partner:
    scenario: third_party
    clients:
      web: { secret_sha256: [$HASH_PARTNER], redirect_uris: ["$RP/partner"] }
calls:
  - { from: market-app, to: market, user: [items.read, items.write] }
  - { from: market-app, to: pay, user: [charge] }
  - { from: pay, to: market, user: [{ scope: items.read, when: [charge] }], service: [settle] }
  - { from: crypto, to: market, user: [items.read], service: [settle] }
  - { from: partner, to: market, user: [items.read] }
`

// site stands for all relying parties: it keeps the last answer that came back
// to each of its paths.
type site struct {
	URL     string
	answers chan url.Values
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{answers: make(chan url.Values, 8)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			http.NotFound(w, r)
			return
		}
		_ = r.ParseForm() // an answer that cannot be read is an empty one, which the test will see
		select {
		case s.answers <- r.Form:
		default:
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>back</title><p id="back">` + r.URL.Path + `</p>`))
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// group is the group file with the site's address and the secrets' hashes.
func (s *site) group() string { return s.fill(groupFile) }

// fill puts the site's address and the secrets' hashes into a group file.
func (s *site) fill(file string) string {
	return strings.NewReplacer("$RP", s.URL,
		"$HASH_APP", hash(appSecret), "$HASH_PAY", hash(paySecret),
		"$HASH_CRYPTO", hash(cryptoSecret), "$HASH_PARTNER", hash(partnerSecret),
	).Replace(file)
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
