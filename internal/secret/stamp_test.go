package secret_test

import (
	"testing"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// TestStamp holds that a stamp is of one key and one context, and that no byte of it can
// be another.
func TestStamp(t *testing.T) {
	t.Parallel()
	key, other := secret.Bytes(secret.KeySize), secret.Bytes(secret.KeySize)
	stamp := secret.NewStamp(key, "page", 1_800_000_042)
	if at, ok := secret.OpenStamp(key, "page", stamp); !ok || at != 1_800_000_042 || len(stamp) != secret.StampSize {
		t.Fatalf("%d %t, %d bytes", at, ok, len(stamp))
	}
	if _, ok := secret.OpenStamp(other, "page", stamp); ok {
		t.Error("it opens with another key")
	}
	if _, ok := secret.OpenStamp(key, "other", stamp); ok {
		t.Error("it opens for another context")
	}
	for i := range stamp {
		changed := append([]byte(nil), stamp...)
		changed[i] ^= 1
		if _, ok := secret.OpenStamp(key, "page", changed); ok {
			t.Errorf("it opens with byte %d changed", i)
		}
		if _, ok := secret.OpenStamp(key, "page", stamp[:i]); ok {
			t.Errorf("it opens with %d bytes", i)
		}
	}
}
