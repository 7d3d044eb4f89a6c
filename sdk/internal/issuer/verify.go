package issuer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
	// Member names are compared case by case and may not repeat, unlike in
	// encoding/json: two readers must not see two different tokens.
	"github.com/go-jose/go-jose/v4/json"
)

const (
	maxTokenBytes  = 16 << 10
	maxHeaderBytes = 1 << 10
)

// Kind says which signed tokens are accepted: the values of typ (an empty one
// stands for an absent header) and the signature algorithms.
type Kind struct {
	Types      []string
	Algorithms []jose.SignatureAlgorithm
	MaxBytes   int // zero: 16 KiB
}

func (k *Kind) maxBytes() int {
	if k.MaxBytes > 0 {
		return k.MaxBytes
	}
	return maxTokenBytes
}

// Errors of a token that is none of this kind or none of this issuer.
var (
	ErrMalformed = errors.New("the token is not a signed JWT")
	ErrKind      = errors.New("the token is of another kind")
	ErrSignature = errors.New("the signature is not the issuer's")
)

// header members that would let a token bring its own key or change how it is
// read (RFC 7515 §4.1, RFC 7797 §3, RFC 7516 §4.1.3).
var forbiddenHeaders = [...]string{"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"}

// Verify checks a compact JWS against the issuer's keys and reads its claims
// into claims. The claims themselves are the caller's to judge.
func (k *Keys) Verify(ctx context.Context, compact string, kind Kind, claims any) error {
	kid, err := readHeader(compact, kind)
	if err != nil {
		return err
	}
	parsed, err := jose.ParseSignedCompact(compact, kind.Algorithms)
	if err != nil {
		return ErrMalformed
	}
	key, err := k.key(ctx, kid)
	if err != nil {
		return err
	}
	alg := jose.SignatureAlgorithm(parsed.Signatures[0].Header.Algorithm)
	if !slices.Contains(algorithms(&key), alg) {
		return ErrSignature
	}
	payload, err := parsed.Verify(key.Key)
	if err != nil {
		return ErrSignature
	}
	if err := json.Unmarshal(payload, claims); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// oneSpelling reports whether every segment is base64url as RFC 7515 §2 writes
// it. Decoders skip line breaks and unused bits, so that one token would have
// many texts, and a list of texts that are refused could be passed by.
func oneSpelling(compact string) bool {
	if strings.ContainsAny(compact, "\r\n") {
		return false
	}
	for segment := range strings.SplitSeq(compact, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(segment); err != nil {
			return false
		}
	}
	return true
}

// readHeader judges the header before any key is looked for, so that a token
// of another kind costs no request.
func readHeader(compact string, kind Kind) (kid string, err error) {
	if len(compact) > kind.maxBytes() || strings.Count(compact, ".") != 2 {
		return "", ErrMalformed
	}
	if !oneSpelling(compact) {
		return "", ErrMalformed
	}
	encoded, _, _ := strings.Cut(compact, ".")
	if len(encoded) > maxHeaderBytes {
		return "", ErrMalformed
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", ErrMalformed
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		return "", ErrMalformed
	}
	for _, name := range forbiddenHeaders {
		if _, present := members[name]; present {
			return "", ErrKind
		}
	}
	alg, _ := members["alg"].(string)
	if !slices.Contains(kind.Algorithms, jose.SignatureAlgorithm(alg)) {
		return "", ErrKind
	}
	typ, isText := members["typ"].(string)
	if _, present := members["typ"]; present && !isText || !slices.Contains(kind.Types, typ) {
		return "", ErrKind
	}
	kid, _ = members["kid"].(string)
	if kid == "" {
		return "", ErrUnknownKey
	}
	return kid, nil
}
