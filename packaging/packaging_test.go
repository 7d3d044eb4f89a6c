// Package packaging_test tries what is packaged with the tools it is meant for, as
// far as they are installed.
package packaging_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// maxProgram is what the program may have, in bytes: 35 MiB.
const maxProgram = 35 << 20

// program is the program as make build has it.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workDir, "sekisho")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../cmd/sekisho")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

var workDir string

func TestMain(m *testing.M) {
	var err error
	if workDir, err = os.MkdirTemp("", "sekisho-packaging-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(workDir)
	os.Exit(code)
}

func built(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command that must succeed and gives what it said.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestProgramIsSmallAndStatic(t *testing.T) {
	t.Parallel()
	path := built(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxProgram {
		t.Errorf("the program has %d bytes, more than %d", info.Size(), maxProgram)
	}
	if recipe := read(t, "../Makefile"); !strings.Contains(recipe, "CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -ldflags '-s -w' -o bin/sekisho") {
		t.Error("make build builds otherwise than this test")
	}
}

// debianPackage builds the package. It is packed lightly, to save time.
func debianPackage(t *testing.T) string {
	t.Helper()
	need(t, "dpkg-deb", "dpkg", "md5sum", "gzip")
	out, program := t.TempDir(), built(t)
	build := exec.CommandContext(t.Context(), "../scripts/deb", program, out)
	build.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1750000000", "VERSION=1.2.3", "DEB_COMPRESSION=-Zgzip -z1")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("scripts/deb: %v\n%s", err, said)
	}
	found, err := filepath.Glob(filepath.Join(out, "sekisho_1.2.3_*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages %v, %v", found, err)
	}
	return found[0]
}

// TestDebianPackage builds the package twice, looks at it with Debian's own tools
// and unpacks it.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	made := debianPackage(t)
	if read(t, made) != read(t, debianPackage(t)) {
		t.Error("the same program gives two different packages")
	}
	root := t.TempDir()
	run(t, "dpkg-deb", "-x", made, root)
	run(t, "dpkg-deb", "-e", made, filepath.Join(root, "DEBIAN"))
	verify := exec.CommandContext(t.Context(), "md5sum", "--check", "--quiet", "DEBIAN/md5sums")
	verify.Dir = root
	if said, err := verify.CombinedOutput(); err != nil {
		t.Errorf("md5sums: %s", said)
	}
	installed := filepath.Join(root, "usr/bin/sekisho")
	run(t, installed, "check", filepath.Join(root, "etc/sekisho/group.yaml"))
	checkManual(t, root, run(t, installed, "--help"))
	checkNothingSecret(t, root)
}

// checkManual wants every command in the manual.
func checkManual(t *testing.T, root, help string) {
	t.Helper()
	manual := run(t, "gzip", "-dc", filepath.Join(root, "usr/share/man/man1/sekisho.1.gz"))
	for _, name := range []string{"serve", "demo", "apply", "keys rotate", "audit", "healthcheck", "version"} {
		if !strings.Contains(help, "  "+name) || !strings.Contains(manual, "\n.B "+name+"\n") {
			t.Errorf("the manual lacks the command %s", name)
		}
	}
	if strings.Contains(manual, "@COMMANDS@") {
		t.Error("the manual has a place left empty")
	}
	if man, err := exec.LookPath("man"); err == nil {
		check := exec.CommandContext(t.Context(), man, "--warnings", "-l", filepath.Join(root, "usr/share/man/man1/sekisho.1.gz"))
		check.Env = append(os.Environ(), "MANROFFSEQ=", "LC_ALL=C.UTF-8", "MANWIDTH=200", "PAGER=cat", "MANPAGER=cat")
		if said, err := check.CombinedOutput(); err != nil || strings.Contains(string(said), "warning") {
			t.Errorf("man: %v\n%s", err, said)
		}
	}
}

// checkNothingSecret wants no secret in the package and none made by it; the
// package tells how to make them.
func checkNothingSecret(t *testing.T, root string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(root, "DEBIAN/postinst"), "configure")
	command.Env = append(os.Environ(), "DPKG_ROOT="+root)
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("postinst: %v\n%s", err, said)
	}
	for _, word := range []string{"generate ppid-secret", "generate key-encryption-key", "systemctl enable --now sekisho", "copy of both"} {
		if !strings.Contains(string(said), word) {
			t.Errorf("postinst does not tell of %q", word)
		}
	}
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if name := filepath.Base(path); name == "ppid-secret" || name == "key-encryption-key" || strings.HasSuffix(name, ".db") {
			t.Errorf("there is a %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDebianPackageInstalls installs it into a root of its own as dpkg does, and
// removes it.
func TestDebianPackageInstalls(t *testing.T) {
	t.Parallel()
	need(t, "dpkg", "dpkg-deb")
	if os.Geteuid() != 0 {
		t.Skip("dpkg installs for root only")
	}
	made, root := debianPackage(t), t.TempDir()
	for _, dir := range []string{"updates", "info", "triggers", "parts"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := []string{"--admindir=" + filepath.Join(root, "var/lib/dpkg"), "--instdir=" + root, "--force-script-chrootless", "--log=" + filepath.Join(root, "log")}
	said := run(t, "dpkg", append(dpkg, "--install", made)...)
	if !strings.Contains(said, "generate ppid-secret") {
		t.Errorf("dpkg does not tell what is left to do:\n%s", said)
	}
	if state := run(t, "dpkg-query", dpkg[0], "-W", "-f", "${Status} ${Version}", "sekisho"); state != "install ok installed 1.2.3" {
		t.Errorf("state %q", state)
	}
	secret := filepath.Join(root, "etc/sekisho/ppid-secret")
	if err := os.WriteFile(secret, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg", append(dpkg, "--purge", "sekisho")...)
	if _, err := os.Stat(filepath.Join(root, "usr/bin/sekisho")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the program is left: %v", err)
	}
	if read(t, secret) != "kept" {
		t.Error("a purge touched the secret")
	}
}

func TestLintianFindsNothing(t *testing.T) {
	t.Parallel()
	need(t, "lintian")
	run(t, "lintian", "--fail-on", "error,warning", "--allow-root", debianPackage(t))
}
