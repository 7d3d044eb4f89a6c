package mint

import (
	"encoding/base64"
	"strings"
)

// opaquePrefix marks opaque access tokens, for people and for secret scanners.
const opaquePrefix = "sek_at_"

// opaqueContext binds the seal to its use.
var opaqueContext = []byte("sekisho opaque access token v1")

// sealOpaque makes an opaque access token of claims: the same claims as in a
// JWT, sealed, so that its holder cannot read it and nothing need be stored.
func (m *Mint) sealOpaque(claims []byte) string {
	return opaquePrefix + base64.RawURLEncoding.EncodeToString(m.opaque.Seal(claims, opaqueContext))
}

// openOpaque opens what sealOpaque made; ok tells whether token is one.
func (m *Mint) openOpaque(token string) (claims []byte, ok bool) {
	if strings.ContainsAny(token, "\r\n") {
		return nil, false // the decoder would skip them, and one token had many texts
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(token, opaquePrefix))
	if err != nil {
		return nil, false
	}
	claims, err = m.opaque.Open(sealed, opaqueContext)
	return claims, err == nil
}
