package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnitIsUnderstoodAndHardened asks systemd's own tool. It says how exposed a
// service is, from 0 to 10 (as a tenth: 100).
func TestUnitIsUnderstoodAndHardened(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	unit := strings.ReplaceAll(read(t, "systemd/sekisho.service"), "/usr/bin/sekisho", "/bin/true") // which is there
	path := filepath.Join(t.TempDir(), "sekisho.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := run(t, "systemd-analyze", "verify", "--man=no", path); said != "" {
		t.Errorf("systemd-analyze verify: %s", said)
	}
	run(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", path)
}

func TestUnitWaitsForTheDrain(t *testing.T) {
	t.Parallel()
	unit := read(t, "systemd/sekisho.service")
	for _, line := range []string{
		"Type=notify", "TimeoutStopSec=30s", "LoadCredential=ppid-secret:", "LoadCredential=key-encryption-key:",
		"Environment=SEKISHO_PPID_SECRET_FILE=%d/ppid-secret", "Environment=SEKISHO_KEY_ENCRYPTION_KEY_FILE=%d/key-encryption-key",
		"DynamicUser=yes", "MemoryDenyWriteExecute=yes", "NoNewPrivileges=yes", "ProtectSystem=strict",
	} {
		if !strings.Contains(unit, "\n"+line) {
			t.Errorf("the unit lacks %s", line)
		}
	}
}

// TestAdminRunsAsTheService plays systemd-run: it runs the command as it is given,
// with credentials in a directory. It runs alone: what was just written may be
// busy while another test starts a process.
func TestAdminRunsAsTheService(t *testing.T) {
	dir := t.TempDir()
	script := strings.ReplaceAll(read(t, "systemd/sekisho-admin"), "/usr/bin/sekisho", dir+"/sekisho")
	for name, text := range map[string]string{
		"sekisho-admin": script,
		"systemd-run":   "#!/bin/sh\nwhile [ \"$1\" != /bin/sh ]; do printf '%s ' \"$1\"; shift; done; echo\nexec \"$@\"\n",
		"sekisho":       "#!/bin/sh\necho \"$SEKISHO_PPID_SECRET_FILE|$SEKISHO_KEY_ENCRYPTION_KEY_FILE|$SEKISHO_DATABASE|$SEKISHO_DATABASE_FILE\"\nprintf '<%s>' \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "credentials"), 0o700); err != nil {
		t.Fatal(err)
	}
	admin := func() string {
		command := exec.CommandContext(t.Context(), filepath.Join(dir, "sekisho-admin"), "audit", "--event", "two words")
		command.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "CREDENTIALS_DIRECTORY=" + dir + "/credentials"}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	said := admin()
	secrets := dir + "/credentials/ppid-secret|" + dir + "/credentials/key-encryption-key|"
	for _, want := range []string{"-p DynamicUser=yes ", "-p User=sekisho ", "<audit><--event><two words>", secrets + "/var/lib/sekisho/sekisho.db|\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "credentials/database"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if want := secrets + "|" + dir + "/credentials/database\n"; !strings.Contains(admin(), want) {
		t.Errorf("with PostgreSQL %q is not in %s", want, admin())
	}
}
