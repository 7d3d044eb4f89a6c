package mint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/oauth"
)

// decoy is a token of nobody. Checking it costs a token that is refused by its
// looks what one costs that is refused by its signature or later, so that time
// does not tell which of the two it was.
type decoy struct {
	verifier *jose.Verifier
	token    string
}

func newDecoy() (*decoy, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("decoy key: %w", err)
	}
	signer, err := jose.NewSigner(key, jose.ES256, "decoy", oauth.TypAccessToken)
	if err != nil {
		return nil, err
	}
	verifier, err := jose.NewVerifier(key.Public(), jose.ES256, "decoy", oauth.TypAccessToken)
	if err != nil {
		return nil, err
	}
	token, err := signer.Sign([]byte("{}"))
	return &decoy{verifier: verifier, token: token}, err
}

// verify does the work of one verification.
func (d *decoy) verify() {
	_, _ = d.verifier.Verify(d.token) // it always verifies, and says nothing
}
