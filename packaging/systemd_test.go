package packaging_test

import (
	"os"
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
	run(t, "sh", "-n", "systemd/sekisho-admin")
}
