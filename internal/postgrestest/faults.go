//go:build unix

package postgrestest

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Kill ends the server and all its processes at once, as kill -9 does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if s.running == nil {
		return
	}
	// Stopped first, so that it makes no further children meanwhile.
	_ = s.running.Process.Signal(syscall.SIGSTOP)
	all := children(s.running.Process.Pid)
	_ = s.running.Process.Kill()
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.running.Wait()
	s.running = nil
	// Until the last one is gone the shared memory is in use.
	for _, pid := range all {
		for alive(pid) {
			time.Sleep(time.Millisecond)
		}
	}
}

// Follow has the server, which does not run, be a standby of another one, under a
// name; what it had is given up.
func (s *Server) Follow(t testing.TB, primary *Server, name string) {
	t.Helper()
	s.copyFrom(t, fmt.Sprintf("host=%s user=postgres application_name=%s", primary.directory, name))
}

// StandbyThrough is Standby, over an address on loopback that leads to the server.
func (s *Server) StandbyThrough(t testing.TB, name string, port int) *Server {
	t.Helper()
	copied := prepare(t, s.settings)
	copied.copyFrom(t, fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=%s", port, name))
	return copied
}

func (s *Server) copyFrom(t testing.TB, conninfo string) {
	t.Helper()
	if err := os.RemoveAll(s.data()); err != nil {
		t.Fatal(err)
	}
	run(t, s.owner, s.directory, filepath.Join(s.programs, "pg_basebackup"),
		"--pgdata", s.data(), "--dbname", conninfo, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	s.Resume(t)
}

// Socket is where the server listens.
func (s *Server) Socket() string { return filepath.Join(s.directory, ".s.PGSQL.5432") }

// children are the processes that a process has started, which live.
func children(parent int) []int {
	var found []int
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if state, of, ok := stat(pid); err == nil && ok && of == parent && state != "Z" {
			found = append(found, pid)
		}
	}
	return found
}

// alive reports whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != "Z"
}

// stat is the state of a process, and its parent.
func stat(pid int) (state string, parent int, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, false
	}
	// The name, in brackets, may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}

// Directory is where the socket is, which is how clients name the server.
func (s *Server) Directory() string { return s.directory }

// Number reads one number from a database of the server.
func (s *Server) Number(t testing.TB, database, query string, to any) error {
	t.Helper()
	db, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.QueryRowContext(t.Context(), query).Scan(to)
}
