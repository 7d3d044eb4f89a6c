package mint

import (
	"encoding/json"

	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// Introspection signs an answer to introspection, which is JSON, for the client that
// asked (RFC 9701 §5), with the algorithm that it chose for its ID tokens.
func (m *Mint) Introspection(asker *registry.Client, answer []byte) (string, error) {
	payload, err := json.Marshal(struct {
		Issuer   string          `json:"iss"`
		Audience string          `json:"aud"`
		IssuedAt int64           `json:"iat"`
		Answer   json.RawMessage `json:"token_introspection"`
	}{m.Issuer, asker.ID, m.Now().Unix(), answer})
	if err != nil {
		return "", err
	}
	return m.Keys.Sign(chosen(asker, keyring.Introspection, keyring.IntrospectionRS256), payload)
}
