package mint

import (
	"encoding/json"

	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// AuthorizationResponse signs the parameters of an authorization response for the
// client (JARM §2.1), with the algorithm that it chose for its ID tokens.
func (m *Mint) AuthorizationResponse(client *registry.Client, parameters map[string]string) (string, error) {
	claims := map[string]any{"iss": m.Issuer, "aud": client.ID, "exp": m.Now().Add(AuthorizationResponseLife).Unix()}
	for name, value := range parameters {
		claims[name] = value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return m.Keys.Sign(chosen(client, keyring.Response, keyring.ResponseRS256), payload)
}
