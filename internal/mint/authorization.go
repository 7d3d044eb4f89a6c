package mint

import (
	"encoding/json"

	"github.com/sekisho-id/sekisho/internal/jose"
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
	purpose := keyring.ResponseRS256
	if client.IDTokenAlg == jose.ES256 {
		purpose = keyring.Response
	}
	return m.Keys.Sign(purpose, payload)
}
