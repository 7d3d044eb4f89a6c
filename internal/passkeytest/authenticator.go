package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Authenticator is a device that holds one passkey, as WebAuthn §6 has it. Its fields
// may be changed before it is used, to see what is refused.
type Authenticator struct {
	Key    *ecdsa.PrivateKey
	ID     []byte
	Handle []byte // of the person, as registration told it
	Count  uint32
	Synced bool

	Origin   string
	RPID     string
	Verified bool   // the device has made sure who uses it
	Kind     string // of ceremony, where it is to be a wrong one

	t testing.TB
}

// New makes a device at an origin, of a relying party by its id.
func New(t testing.TB, origin, rpID string) *Authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	rand.Read(id)
	return &Authenticator{t: t, Key: key, ID: id, Origin: origin, RPID: rpID, Verified: true}
}

// B64 is base64url as WebAuthn has it.
func B64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// clientData is what the browser says of the ceremony.
func (a *Authenticator) clientData(kind, challenge string) []byte {
	if a.Kind != "" {
		kind = a.Kind
	}
	data, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	if err != nil {
		a.t.Fatal(err)
	}
	return data
}

// data is the authenticator data (WebAuthn §6.1).
func (a *Authenticator) data(attested []byte) []byte {
	hash := sha256.Sum256([]byte(a.RPID))
	flags := byte(0x01) // user present
	if a.Verified {
		flags |= 0x04
	}
	if a.Synced {
		flags |= 0x08 | 0x10
	}
	if attested != nil {
		flags |= 0x40
	}
	b := append(hash[:], flags)
	b = binary.BigEndian.AppendUint32(b, a.Count)
	return append(b, attested...)
}

// Create answers PublicKeyCredentialCreationOptions.
func (a *Authenticator) Create(options string) string {
	a.t.Helper()
	var asked struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := json.Unmarshal([]byte(options), &asked); err != nil {
		a.t.Fatal(err)
	}
	a.Handle, _ = base64.RawURLEncoding.DecodeString(asked.User.ID)
	x, y := make([]byte, 32), make([]byte, 32)
	point, err := a.Key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	copy(x, point[1:33])
	copy(y, point[33:])
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: x, -3: y})
	if err != nil {
		a.t.Fatal(err)
	}
	attested := make([]byte, 16)                                          // no AAGUID
	attested = binary.BigEndian.AppendUint16(attested, uint16(len(a.ID))) //nolint:gosec // 32
	attested = append(append(attested, a.ID...), cose...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": a.data(attested)})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]any{
		"clientDataJSON": B64(a.clientData("webauthn.create", asked.Challenge)), "attestationObject": B64(object),
		"transports": []string{"internal"},
	})
}

// Get answers PublicKeyCredentialRequestOptions.
func (a *Authenticator) Get(options string) string {
	a.t.Helper()
	var asked struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal([]byte(options), &asked); err != nil {
		a.t.Fatal(err)
	}
	client, data := a.clientData("webauthn.get", asked.Challenge), a.data(nil)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(data, hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.Key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]any{
		"clientDataJSON": B64(client), "authenticatorData": B64(data), "signature": B64(signature), "userHandle": B64(a.Handle),
	})
}

func (a *Authenticator) answer(response map[string]any) string {
	text, err := json.Marshal(map[string]any{
		"id": B64(a.ID), "rawId": B64(a.ID), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}
