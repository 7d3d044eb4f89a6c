package jose

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"
)

// Header is what a JOSE header may say here (RFC 7515 §4.1).
type Header struct {
	Alg   Alg    `json:"alg"`
	KeyID string `json:"kid,omitempty"`
	Typ   string `json:"typ,omitempty"`
}

// JWKS is a set of public keys of somebody else.
type JWKS struct {
	keys []key
}

type key struct {
	id   string
	algs []Alg
	pub  crypto.PublicKey
	jwk  JWK
}

// rawKey is a key as it was sent: what it must not have is told from what it
// has by presence.
type rawKey struct {
	JWK
	Ops  []string        `json:"key_ops"`
	D    json.RawMessage `json:"d"`
	P    json.RawMessage `json:"p"`
	Q    json.RawMessage `json:"q"`
	DP   json.RawMessage `json:"dp"`
	DQ   json.RawMessage `json:"dq"`
	QI   json.RawMessage `json:"qi"`
	Oth  json.RawMessage `json:"oth"`
	K    json.RawMessage `json:"k"`
	Priv json.RawMessage `json:"priv"`
}

// ParseJWKS reads a set of public keys. A private or symmetric key, or a weak
// RSA key, is refused; a key for another purpose or of a kind not used here is
// passed over (RFC 7517 §5). At least one key must be left.
func ParseJWKS(data []byte) (*JWKS, error) {
	if len(data) > maxJWKS {
		return nil, fmt.Errorf("jose: a key set has at most %d bytes", maxJWKS)
	}
	var set struct {
		Keys []rawKey `json:"keys"`
	}
	if err := Decode(data, &set); err != nil {
		return nil, fmt.Errorf("jose: key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("jose: a key set has at most %d keys, not %d", maxKeys, len(set.Keys))
	}
	jwks := &JWKS{}
	for i, raw := range set.Keys {
		k, err := raw.parse()
		if err != nil {
			return nil, fmt.Errorf("jose: key %d of the set: %w", i+1, err)
		}
		if k != nil {
			jwks.keys = append(jwks.keys, *k)
		}
	}
	if len(jwks.keys) == 0 {
		return nil, errors.New("jose: the key set has no key to verify signatures with; use EC P-256, RSA or Ed25519")
	}
	return jwks, nil
}

// parse gives the key, nil if it is not for verifying signatures here, or an
// error if it must not be in the set at all.
func (r rawKey) parse() (*key, error) {
	for name, value := range map[string]json.RawMessage{
		"d": r.D, "p": r.P, "q": r.Q, "dp": r.DP, "dq": r.DQ, "qi": r.QI, "oth": r.Oth, "k": r.K, "priv": r.Priv,
	} {
		if value != nil {
			return nil, fmt.Errorf("it has the private member %q; publish the public key only, and replace this one", name)
		}
	}
	if r.Kty == "oct" {
		return nil, errors.New("it is symmetric; use an EC, RSA or Ed25519 key")
	}
	if r.Kty == "RSA" {
		if err := checkWritten(r.N, r.E); err != nil {
			return nil, err
		}
	}
	if (r.Use != "" && r.Use != "sig") || (r.Ops != nil && !slices.Contains(r.Ops, "verify")) {
		return nil, nil
	}
	algs := algsOf(r.JWK)
	if len(algs) == 0 {
		return nil, nil
	}
	// Only the members of the key itself go to the library, so that it looks at
	// no certificate or address that came along.
	clean, err := json.Marshal(JWK{Kty: r.Kty, Crv: r.Crv, X: r.X, Y: r.Y, N: r.N, E: r.E})
	if err != nil {
		return nil, err
	}
	var parsed gojose.JSONWebKey
	if err := parsed.UnmarshalJSON(clean); err != nil {
		return nil, err
	}
	if !parsed.Valid() || !parsed.IsPublic() {
		return nil, errors.New("it is not a valid public key")
	}
	if err := algs[0].fits(parsed.Key); err != nil {
		return nil, err
	}
	return &key{
		id: r.Kid, algs: algs, pub: parsed.Key,
		jwk: JWK{Kty: r.Kty, Use: r.Use, Alg: r.Alg, Kid: r.Kid, Crv: r.Crv, X: r.X, Y: r.Y, N: r.N, E: r.E},
	}, nil
}

// checkWritten looks at the numbers of an RSA key as they were written,
// before a library refuses or shortens them in its own words.
func checkWritten(modulus, exponent string) error {
	n, err := decodeSegment(modulus)
	if err != nil {
		return errors.New("its modulus is not base64url")
	}
	e, err := decodeSegment(exponent)
	if err != nil {
		return errors.New("its exponent is not base64url")
	}
	return checkRSA(new(big.Int).SetBytes(n), new(big.Int).SetBytes(e))
}

// algsOf gives the algorithms a key may be used with.
func algsOf(k JWK) []Alg {
	var algs []Alg
	switch {
	case k.Kty == "EC" && k.Crv == "P-256":
		algs = []Alg{ES256}
	case k.Kty == "RSA":
		algs = []Alg{RS256, PS256}
	case k.Kty == "OKP" && k.Crv == "Ed25519":
		algs = []Alg{EdDSA}
	}
	if k.Alg == "" {
		return algs
	}
	return slices.DeleteFunc(algs, func(a Alg) bool { return a != k.Alg })
}

// MarshalJSON writes the set with the keys that are used.
func (s *JWKS) MarshalJSON() ([]byte, error) {
	keys := make([]JWK, 0, len(s.keys))
	for _, k := range s.keys {
		keys = append(keys, k.jwk)
	}
	return MarshalSet(keys)
}

// KeyIDs lists the names of the keys, "" for a key without one.
func (s *JWKS) KeyIDs() []string {
	ids := make([]string, 0, len(s.keys))
	for _, k := range s.keys {
		ids = append(ids, k.id)
	}
	return ids
}

// Verify verifies a token of the keys' owner, signed with one of algs. What
// its claims say is for the caller to check.
func (s *JWKS) Verify(compact string, algs []Alg) (payload []byte, header Header, err error) {
	header, err = parseHeader(compact)
	if err != nil {
		return nil, Header{}, err
	}
	if !slices.Contains(algs, header.Alg) {
		return nil, Header{}, fmt.Errorf("%w: algorithm %.20q is not allowed", ErrHeader, string(header.Alg))
	}
	token, err := gojose.ParseSignedCompact(compact, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(header.Alg)})
	if err != nil {
		return nil, Header{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	err = ErrKey
	for _, k := range s.keys {
		named := header.KeyID != "" && k.id != ""
		if !slices.Contains(k.algs, header.Alg) || (named && header.KeyID != k.id) {
			continue
		}
		payload, verifyErr := token.Verify(k.pub)
		if verifyErr == nil {
			return payload, header, nil
		}
		err = ErrSignature
	}
	return nil, Header{}, err
}

// parseHeader reads the header of a foreign token, within the limits.
func parseHeader(compact string) (Header, error) {
	segments := strings.Split(compact, ".")
	if len(compact) > maxCompact || len(segments) != 3 || strings.ContainsAny(compact, "\r\n") {
		return Header{}, ErrMalformed
	}
	data, err := decodeSegment(segments[0])
	if err != nil || len(data) > maxHeader || len(segments[1]) > b64.EncodedLen(maxClaims) {
		return Header{}, ErrMalformed
	}
	// The library lets unused bits of a last character pass, which would give
	// one token many texts.
	for _, segment := range segments[1:] {
		if _, err := decodeSegment(segment); err != nil {
			return Header{}, ErrMalformed
		}
	}
	var header struct {
		Header
		Cty string `json:"cty"`

		// Each of these would bring a key along or change how the token is read
		// (RFC 7515 §4.1.2 to §4.1.6, §4.1.11, RFC 7797 §3, RFC 7516 §4.1).
		JKU  json.RawMessage `json:"jku"`
		JWK  json.RawMessage `json:"jwk"`
		X5U  json.RawMessage `json:"x5u"`
		X5C  json.RawMessage `json:"x5c"`
		Crit json.RawMessage `json:"crit"`
		B64  json.RawMessage `json:"b64"`
		Zip  json.RawMessage `json:"zip"`
		Enc  json.RawMessage `json:"enc"`
	}
	if err := Decode(data, &header); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	for _, member := range []json.RawMessage{header.JKU, header.JWK, header.X5U, header.X5C, header.Crit, header.B64, header.Zip, header.Enc} {
		if member != nil {
			return Header{}, fmt.Errorf("%w: jku, jwk, x5u, x5c, crit, b64, zip and enc are refused", ErrHeader)
		}
	}
	if header.Cty != "" {
		return Header{}, fmt.Errorf("%w: nested tokens are refused", ErrHeader)
	}
	return header.Header, nil
}
