//go:build unix

package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const startTimeout = 60 * time.Second

// Start starts a server and answers the connection string of its database, for
// the driver "pgx". It skips the test where PostgreSQL is not installed.
func Start(t testing.TB) string {
	t.Helper()
	programs := installed()
	if programs == "" {
		t.Skip("PostgreSQL is not installed (Debian: apt-get install postgresql); this test needs a real one")
	}
	owner, err := serverUser()
	if err != nil {
		t.Skipf("PostgreSQL does not run as root and there is no user postgres: %v", err)
	}
	directory := ownDirectory(t, owner)
	data := filepath.Join(directory, "data")
	run(t, owner, directory, filepath.Join(programs, "initdb"),
		"--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	serve(t, owner, directory, filepath.Join(programs, "postgres"),
		"-D", data, "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=100")
	dsn := fmt.Sprintf("host=%s user=postgres dbname=postgres sslmode=disable", directory)
	waitUntilReady(t, dsn)
	return dsn
}

// installed finds the programs of the newest version.
func installed() string {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return ""
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest)
}

func version(program string) int {
	number, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(program))))
	if err != nil {
		return 0
	}
	return number
}

// serverUser is who the server runs as: ourselves, or postgres if we are root,
// since it refuses to run as root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(postgres.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(postgres.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// ownDirectory is short, because the name of a unix socket may have no more
// than 107 bytes, and belongs to the server's user.
func ownDirectory(t testing.TB, owner *syscall.Credential) string {
	t.Helper()
	directory, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	if owner != nil {
		if err := os.Chown(directory, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func run(t testing.TB, owner *syscall.Credential, directory, program string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir = directory
	command.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, output)
	}
}

// serve runs the server until the test ends. SIGINT is its fast shutdown.
func serve(t testing.TB, owner *syscall.Credential, directory, program string, args ...string) {
	t.Helper()
	command := exec.Command(program, args...)
	command.Dir = directory
	command.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := command.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		err := command.Wait()
		if t.Failed() || err != nil {
			t.Logf("PostgreSQL: %v\n%s", err, output.String())
		}
	})
}

// waitUntilReady tries until the server answers a query.
func waitUntilReady(t testing.TB, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("PostgreSQL did not start: %v", err)
		}
	}
}
