package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
)

// Verifier takes the tokens that one Signer made.
type Verifier struct {
	pub    crypto.PublicKey
	alg    Alg
	prefix string
}

// NewVerifier prepares a verifier for the tokens of NewSigner with the same
// alg, kid and typ.
func NewVerifier(pub crypto.PublicKey, alg Alg, kid, typ string) (*Verifier, error) {
	if err := alg.fits(pub); err != nil {
		return nil, err
	}
	prefix, err := headerSegment(alg, kid, typ)
	if err != nil {
		return nil, err
	}
	return &Verifier{pub: pub, alg: alg, prefix: prefix + "."}, nil
}

// HeaderSegment is the first segment of every token that this verifier takes.
// Who holds many verifiers finds the right one by it.
func (v *Verifier) HeaderSegment() string {
	return v.prefix[:len(v.prefix)-1]
}

// HeaderSegment cuts the first segment off a token, without judging it.
func HeaderSegment(compact string) string {
	segment, _, _ := strings.Cut(compact, ".")
	return segment
}

// Verify gives the claims of a token of ours. What they say is for the caller
// to check.
func (v *Verifier) Verify(compact string) (claims []byte, err error) {
	if len(compact) > maxCompact {
		return nil, ErrMalformed
	}
	if !strings.HasPrefix(compact, v.prefix) {
		return nil, ErrHeader
	}
	dot := strings.LastIndexByte(compact, '.')
	if dot < len(v.prefix) {
		return nil, ErrMalformed
	}
	claims, err = decodeSegment(compact[len(v.prefix):dot])
	if err != nil || len(claims) > maxClaims {
		return nil, ErrMalformed
	}
	signature, err := decodeSegment(compact[dot+1:])
	if err != nil {
		return nil, ErrMalformed
	}
	if !v.valid([]byte(compact[:dot]), signature) {
		return nil, ErrSignature
	}
	return claims, nil
}

// decodeSegment reads base64url as RFC 7515 §2 writes it. The standard decoder
// skips line breaks, which would give one token many texts.
func decodeSegment(segment string) ([]byte, error) {
	if strings.ContainsAny(segment, "\r\n") {
		return nil, ErrMalformed
	}
	return b64.DecodeString(segment)
}

func (v *Verifier) valid(input, signature []byte) bool {
	digest := sha256.Sum256(input)
	switch v.alg {
	case ES256:
		if len(signature) != 2*p256Bytes {
			return false
		}
		key, ok := v.pub.(*ecdsa.PublicKey)
		return ok && ecdsa.VerifyASN1(key, digest[:], asn1Signature(signature))
	case RS256:
		key, ok := v.pub.(*rsa.PublicKey)
		return ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case PS256:
		key, ok := v.pub.(*rsa.PublicKey)
		return ok && rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case EdDSA:
		key, ok := v.pub.(ed25519.PublicKey)
		return ok && len(signature) == ed25519.SignatureSize && ed25519.Verify(key, input, signature)
	}
	return false
}

// asn1Signature turns r‖s into the form the standard library verifies. r and
// s of zero become integers that it refuses.
func asn1Signature(fixed []byte) []byte {
	const sequence, integer = 0x30, 0x02
	der := make([]byte, 2, 72)
	for _, n := range [][]byte{fixed[:p256Bytes], fixed[p256Bytes:]} {
		n = bytes.TrimLeft(n, "\x00")
		if len(n) == 0 || n[0] >= 0x80 { // an integer is never empty, and positive
			der = append(der, integer, byte(len(n)+1), 0)
		} else {
			der = append(der, integer, byte(len(n)))
		}
		der = append(der, n...)
	}
	der[0], der[1] = sequence, byte(len(der)-2)
	return der
}
