//go:build pkcs11

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThalesGroup/crypto11"
)

// An installation whose key-encryption key is a file moves it into a hardware
// security module, and is opened by that alone afterwards.
func TestResealIntoAModule(t *testing.T) {
	const softHSM = "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := os.Stat(softHSM); err != nil {
		t.Skip("there is no softhsm2: make prerequisites installs it")
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("SOFTHSM2_CONF", file("softhsm2.conf", "directories.tokendir = "+dir+"\nobjectstore.backend = file\n"))
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "sekisho", "--so-pin", "5678", "--pin", "1234").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	module, err := crypto11.Configure(&crypto11.Config{Path: softHSM, TokenLabel: "sekisho", Pin: "1234"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := module.GenerateSecretKeyWithLabel([]byte{1}, []byte("kek"), 256, crypto11.CipherAES); err != nil {
		t.Fatal(err)
	}
	if err := module.Close(); err != nil {
		t.Fatal(err)
	}
	uri := "pkcs11:token=sekisho;object=kek?module-path=" + softHSM + "&pin-source=file:" + file("pin", "1234")
	local := strings.Repeat("ab", 32) + "\n"
	t.Setenv("SEKISHO_DATABASE", filepath.Join(dir, "s.db"))
	t.Setenv("SEKISHO_PPID_SECRET_FILE", file("ppid", strings.Repeat("cd", 32)))
	group := file("group.yaml", "issuer: http://localhost:8080\nsubsystems:\n  shop:\n    scenario: app\n    clients:\n      web: { type: spa, redirect_uris: [\"http://localhost:3000/callback\"] }\n")
	do := func(kek string, args ...string) (code int, said string) {
		t.Helper()
		t.Setenv("SEKISHO_KEY_ENCRYPTION_KEY", kek)
		var both bytes.Buffer
		code = run(t.Context(), args, terminal{out: &both, err: &both, in: strings.NewReader("")})
		return code, both.String()
	}
	for _, step := range []struct {
		name string
		kek  string
		args []string
		code int
		says string
	}{
		{"made under a file", local, []string{"apply", group}, exitOK, "applied"},
		{"the module alone is another key", uri, []string{"keys", "list"}, exitFailure, "does not open the keys"},
		{"one key only", local, []string{"keys", "reseal"}, exitFailure, "give the next one as well"},
		{"resealed", local + uri, []string{"keys", "reseal"}, exitOK, "sealed under the last"},
		{"resealed again", local + uri, []string{"keys", "reseal"}, exitFailure, "already"},
		{"the file alone", local, []string{"keys", "list"}, exitFailure, "does not open the keys"},
		{"new keys under the module", uri, []string{"keys", "rotate"}, exitOK, "published"},
		{"the module alone", uri, []string{"keys", "list"}, exitOK, "next"},
		{"and back", uri + "\n" + local, []string{"keys", "reseal"}, exitOK, "sealed under the last"},
		{"the file alone again", local, []string{"keys", "list"}, exitOK, "next"},
	} {
		if code, said := do(step.kek, step.args...); code != step.code || !strings.Contains(said, step.says) {
			t.Errorf("%s: %d %s", step.name, code, said)
		}
	}
}
