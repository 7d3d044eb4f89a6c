package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	publisherName = "market"
	eventType     = "https://api.market.test/events/item.sold"
	clientSecret  = "secret-of-every-client-of-a-faultlab-run"
)

// groupFile declares the publisher and all receivers.
func (l *lab) groupFile() string {
	sum := sha256.Sum256([]byte(clientSecret))
	hash := hex.EncodeToString(sum[:])
	var file, names strings.Builder
	fmt.Fprintf(&file, "issuer: %s\nsubsystems:\n  %s:\n    scenario: service\n", l.issuer, publisherName)
	file.WriteString("    resource: { audience: https://api.market.test, scopes: { items.read: See items } }\n")
	fmt.Fprintf(&file, "    clients: { backend: { secret_sha256: [%s], rate: 100000 } }\n", hash)
	for i, r := range l.receivers {
		fmt.Fprintf(&file, "  %s:\n    scenario: backend\n    clients: { backend: { secret_sha256: [%s], redirect_uris: [https://%s.test/], id_token_alg: ES256 } }\n",
			r.name, hash, r.name)
		if i > 0 {
			names.WriteString(", ")
		}
		names.WriteString(r.name)
	}
	fmt.Fprintf(&file, "events:\n  - { publisher: %s, types: [item.sold], receivers: [%s] }\n", publisherName, names.String())
	return file.String()
}
