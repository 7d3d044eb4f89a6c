package load

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	secret    = "secret-of-every-client-of-a-faultlab-run"
	appReturn = "https://shop.test/ios"
	webReturn = "https://shop.test/web"
	marketAPI = "https://api.market.test"
	payAPI    = "https://api.pay.test"
)

// Group is the group file of the load: an app with a public and a confidential
// client, two services of which one calls the other, and so many backends beside.
func Group(issuer string, backends int) string {
	sum := sha256.Sum256([]byte(secret))
	confidential := fmt.Sprintf("secret_sha256: [%s], rate: 100000", hex.EncodeToString(sum[:]))
	var file, calls strings.Builder
	fmt.Fprintf(&file, `issuer: %s
subsystems:
  market:
    scenario: service
    resource: { audience: %s, scopes: { items.read: See items, settle: Settle sales } }
    clients: { backend: { %s } }
  pay:
    scenario: service
    resource: { audience: %s, scopes: { charge: Pay } }
    clients: { backend: { %s }, signer: { jwks: %s, rate: 100000 } }
  shop:
    scenario: app
    clients:
      ios: { type: native, redirect_uris: [%s], rate: 100000 }
      web: { redirect_uris: [%s], %s }
`, issuer, marketAPI, confidential, payAPI, confidential, publicKeys(), appReturn, webReturn, confidential)
	for i := range backends {
		fmt.Fprintf(&file, "  %s:\n    scenario: backend\n    clients: { backend: { redirect_uris: [https://%s.test/], %s } }\n", backend(i), backend(i), confidential)
		fmt.Fprintf(&calls, "  - { from: %s, to: market, service: [settle] }\n", backend(i))
	}
	file.WriteString(`calls:
  - { from: shop, to: pay, user: [charge] }
  - { from: pay, to: market, user: [{ scope: items.read, when: [charge] }], service: [settle] }
`)
	return file.String() + calls.String()
}

func backend(i int) string { return fmt.Sprintf("backend-%03d", i) }

// Backend is the client of a backend.
func Backend(i int) string { return backend(i) + ".backend" }

// Email and Password are how a person signs in.
func Email(person int) string { return fmt.Sprintf("person-%d@example.test", person) }

// Password is everybody's.
const Password = "marble lantern orbit teacup"
