//go:build pkcs11

package secret_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThalesGroup/crypto11"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// softHSM is where Debian puts the module of softhsm2.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// token makes a token with two AES keys, kek and other, and gives the URI of the
// first.
func token(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(softHSM); err != nil {
		t.Skip("there is no softhsm2: make prerequisites installs it")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	write(t, config, "directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	write(t, filepath.Join(dir, "pin"), "1234\n")
	t.Setenv("SOFTHSM2_CONF", config)
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "sekisho test", "--so-pin", "5678", "--pin", "1234").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	module, err := crypto11.Configure(&crypto11.Config{Path: softHSM, TokenLabel: "sekisho test", Pin: "1234"})
	if err != nil {
		t.Fatal(err)
	}
	for i, label := range []string{"kek", "other"} {
		if _, err := module.GenerateSecretKeyWithLabel([]byte{byte(i + 1)}, []byte(label), 256, crypto11.CipherAES); err != nil {
			t.Fatal(err)
		}
	}
	if err := module.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("pkcs11:token=sekisho%%20test;object=kek?module-path=%s&pin-source=file:%s", softHSM, filepath.Join(dir, "pin"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openKEK(t *testing.T, uri string) secret.KEK {
	t.Helper()
	kek, ok, err := secret.OpenKEK(uri)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	t.Cleanup(func() { _ = kek.(interface{ Close() error }).Close() })
	return kek
}

// A key in a hardware security module wraps as one of this process does, and is
// never in this process.
func TestKEKInAModule(t *testing.T) {
	uri := token(t)
	kek := openKEK(t, uri)
	key, place := secret.Bytes(138), []byte("signing_key/access/k1")
	wrapped, err := kek.Wrap(t.Context(), key, place)
	if err != nil {
		t.Fatal(err)
	}
	again, err := kek.Wrap(t.Context(), key, place)
	if err != nil || string(again) == string(wrapped) {
		t.Errorf("wrapped twice alike, %v", err)
	}
	if got, err := kek.Unwrap(t.Context(), wrapped, place); err != nil || string(got) != string(key) {
		t.Errorf("%x, %v", got, err)
	}
	changed := append([]byte(nil), wrapped...)
	changed[20] ^= 1
	other := openKEK(t, strings.Replace(uri, "object=kek", "object=other", 1))
	local := secret.LocalKEK([32]byte{})
	foreign, _ := local.Wrap(t.Context(), key, place)
	for name, unwrap := range map[string]func() ([]byte, error){
		"another place": func() ([]byte, error) { return kek.Unwrap(t.Context(), wrapped, []byte("elsewhere")) },
		"changed":       func() ([]byte, error) { return kek.Unwrap(t.Context(), changed, place) },
		"short":         func() ([]byte, error) { return kek.Unwrap(t.Context(), wrapped[:20], place) },
		"another key":   func() ([]byte, error) { return other.Unwrap(t.Context(), wrapped, place) },
		"wrapped by us": func() ([]byte, error) { return kek.Unwrap(t.Context(), foreign, place) },
		"opened by us":  func() ([]byte, error) { return local.Unwrap(t.Context(), wrapped, place) },
	} {
		if _, err := unwrap(); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Among several, the one is found that did it.
	got, by, err := secret.UnwrapAny(t.Context(), []secret.KEK{local, other, kek}, 0, wrapped, place)
	if err != nil || by != 2 || string(got) != string(key) {
		t.Errorf("by %d, %v", by, err)
	}
}

func TestURIsOfModules(t *testing.T) {
	uri := token(t)
	for name, c := range map[string]struct{ uri, says string }{
		"no such key":       {strings.Replace(uri, "object=kek", "object=nothing", 1), `key "nothing" on token "sekisho test"`},
		"no such token":     {strings.Replace(uri, "token=sekisho%20test", "token=nothing", 1), "open token"},
		"no PIN file":       {uri + "-missing", "the PIN"},
		"no object":         {strings.Replace(uri, ";object=kek", "", 1), "the URI has no object; it looks like"},
		"unknown attribute": {strings.Replace(uri, "object=", "objekt=", 1), `"objekt" of the URI is none of`},
		"PIN in the URI":    {strings.Replace(uri, "pin-source=", "pin-value=", 1), `"pin-value" of the URI is none of`},
	} {
		if _, ok, err := secret.OpenKEK(c.uri); !ok || err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
}
