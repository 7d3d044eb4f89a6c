//go:build unix

package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const startTimeout = 60 * time.Second

// Server is a running server. Each has a directory of its own.
type Server struct {
	directory string // with its socket
	programs  string
	owner     *syscall.Credential
	settings  []string
	running   *exec.Cmd
	output    *bytes.Buffer
}

// Start starts a server and answers the connection string of its database, for
// the driver "pgx". It skips the test where PostgreSQL is not installed.
func Start(t testing.TB) string {
	t.Helper()
	return New(t).dsn()
}

// New starts a server with settings such as "max_connections=20". It skips the
// test where PostgreSQL is not installed.
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := prepare(t, settings)
	run(t, s.owner, s.directory, filepath.Join(s.programs, "initdb"),
		"--pgdata", s.data(), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	s.Resume(t)
	return s
}

// Standby starts a copy of the server that follows it under a name.
func (s *Server) Standby(t testing.TB, name string) *Server {
	t.Helper()
	copied := prepare(t, s.settings)
	copied.Follow(t, s, name)
	return copied
}

// Installed tells whether there is a PostgreSQL to start.
func Installed() bool {
	_, err := serverUser()
	return installed() != "" && err == nil
}

func prepare(t testing.TB, settings []string) *Server {
	t.Helper()
	programs := installed()
	if programs == "" {
		t.Skip("PostgreSQL is not installed (Debian: apt-get install postgresql); this test needs a real one")
	}
	owner, err := serverUser()
	if err != nil {
		t.Skipf("PostgreSQL does not run as root and there is no user postgres: %v", err)
	}
	return &Server{directory: ownDirectory(t, owner), programs: programs, owner: owner, settings: settings}
}

// Promote has a standby take over, and returns when it takes writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "SELECT pg_promote()")
}

// Exec runs one statement as the superuser.
func (s *Server) Exec(t testing.TB, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// URL names a database of the server, which Exec has created, or of several
// servers that are copies of each other.
func (s *Server) URL(database string, copies ...*Server) string {
	hosts := []string{s.directory}
	for _, one := range copies {
		hosts = append(hosts, one.directory)
	}
	query := url.Values{"host": {strings.Join(hosts, ",")}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + query.Encode()
}

func (s *Server) dsn() string {
	return fmt.Sprintf("host=%s user=postgres dbname=postgres sslmode=disable", s.directory)
}

func (s *Server) data() string { return filepath.Join(s.directory, "data") }

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

// Resume runs the server until the test ends, or Stop is called.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	args := []string{
		"-D", s.data(), "-k", s.directory, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=100",
	}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	s.running, s.output = exec.Command(filepath.Join(s.programs, "postgres"), args...), &bytes.Buffer{}
	s.running.Dir = s.directory
	s.running.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	s.running.Stdout, s.running.Stderr = s.output, s.output
	if err := s.running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t, syscall.SIGINT) })
	waitUntilReady(t, s.dsn())
}

// Stop ends the server at once, as a crash does.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(t, syscall.SIGQUIT)
}

// end sends a signal: SIGINT is a fast shutdown, SIGQUIT an immediate one.
func (s *Server) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if s.running == nil {
		return
	}
	if err := s.running.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	err := s.running.Wait()
	s.running = nil
	if t.Failed() || err != nil && signal == syscall.SIGINT {
		t.Logf("PostgreSQL: %v\n%s", err, s.output.String())
	}
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
