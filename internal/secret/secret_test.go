package secret_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/secret"
)

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRandomValuesDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		for _, value := range []string{secret.Token("sek_rt_"), secret.ID(), secret.Mark(), string(secret.Bytes(16))} {
			if seen[value] {
				t.Fatalf("%q came twice", value)
			}
			seen[value] = true
		}
		if secret.Int63() <= 0 {
			t.Fatal("a number that is not positive")
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	token := secret.Token("sek_rt_")
	if !strings.HasPrefix(token, "sek_rt_") || len(token) != len("sek_rt_")+43 {
		t.Errorf("token %q", token)
	}
	want := sha256.Sum256([]byte(token))
	if !secret.Equal(secret.Hash(token), want[:]) {
		t.Error("the hash is not SHA-256")
	}
	if secret.Equal(secret.Hash(token), secret.Hash(token+"x")) || secret.Equal(nil, want[:]) {
		t.Error("different values are equal")
	}
	if len(secret.ID()) != 32 || len(secret.Mark()) != 32 {
		t.Error("an id is not 32 characters long")
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	// RFC 5869 appendix A.3: no salt, no label.
	got := secret.Derive(bytes.Repeat([]byte{0x0b}, 22), "", 42)
	want := fromHex(t, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
	if !bytes.Equal(got, want) {
		t.Errorf("got %x", got)
	}
	if bytes.Equal(secret.Derive(want, "a", 32), secret.Derive(want, "b", 32)) {
		t.Error("two labels give one key")
	}
}

func TestBoxOpensOnlyWhatItSealed(t *testing.T) {
	t.Parallel()
	key := secret.Bytes(secret.KeySize)
	box, err := secret.NewBox(key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := secret.NewBox(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	plain, place := []byte("plain"), []byte("place")
	sealed := box.Seal(plain, place)
	if got, err := box.Open(sealed, place); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %q, %v", got, err)
	}
	if bytes.Equal(sealed, box.Seal(plain, place)) {
		t.Error("two seals of one value are equal")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := box.Open(changed, place); !errors.Is(err, secret.ErrSealed) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for name, err := range map[string]error{
		"another place": second(box.Open(sealed, []byte("elsewhere"))),
		"another key":   second(other.Open(sealed, place)),
		"cut":           second(box.Open(sealed[:len(sealed)-1], place)),
		"short":         second(box.Open(sealed[:10], place)),
		"empty":         second(box.Open(nil, place)),
	} {
		if !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := secret.NewBox(key[:16]); err == nil {
		t.Error("a short key is accepted")
	}
}

func second(_ []byte, err error) error { return err }

// The vectors of the C2SP XAES-256-GCM page.
func TestBoxIsXAES256GCM(t *testing.T) {
	t.Parallel()
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	for _, c := range []struct {
		key        byte
		context    string
		ciphertext string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		box, err := secret.NewBox(bytes.Repeat([]byte{c.key}, 32))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := box.Open(append(bytes.Clone(nonce), fromHex(t, c.ciphertext)...), []byte(c.context))
		if err != nil || string(plain) != "XAES-256-GCM" {
			t.Errorf("key %x: %q, %v", c.key, plain, err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	box, err := secret.NewBox(secret.Bytes(secret.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	plain := secret.Bytes(500)
	for b.Loop() {
		box.Seal(plain, nil)
	}
}
