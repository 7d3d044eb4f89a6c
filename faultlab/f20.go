package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// wrongStart is a way in which a process must not become ready.
type wrongStart struct {
	name, says string // part of what it says
	spoil      func(*lab, *server) (repair func() error, err error)
}

// startsWrong is F20: the process is started while something that it needs is
// missing or wrong. It ends and says what; put right, it serves what it had.
func startsWrong(l *lab) error {
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(5 * time.Second); err != nil {
		return err
	}
	s := l.servers[0]
	for _, wrong := range wrongStarts {
		if err := s.stop(); err != nil {
			return err
		}
		repair, err := wrong.spoil(l, s)
		if err != nil {
			return fmt.Errorf("%s: %w", wrong.name, err)
		}
		began := l.since()
		said := s.mustNotStart()
		took := l.since() - began
		if err := repair(); err != nil {
			return fmt.Errorf("%s: %w", wrong.name, err)
		}
		switch {
		case said == "":
			l.report.violation("%s: it serves", wrong.name)
			s.kill()
		case !strings.Contains(said, wrong.says):
			l.report.violation("%s: it says %q", wrong.name, said)
		}
		l.report.figure("%s: ended after %s: %s", wrong.name, ms(took), said)
		if err := s.start(); err != nil {
			return err
		}
		if err := l.pause(2 * time.Second); err != nil {
			return err
		}
	}
	return f.finish()
}

// mustNotStart starts the process and gives what it said before it ended; nothing
// if it serves.
func (s *server) mustNotStart() string {
	err := s.start()
	if err == nil {
		return ""
	}
	text := strings.TrimSpace(err.Error())
	text = strings.ReplaceAll(text, s.lab.dir, "…")
	return strings.Join(strings.Fields(text), " ")
}

var wrongStarts = []wrongStart{
	{"no database server there", "cannot reach PostgreSQL", func(_ *lab, s *server) (func() error, error) {
		s.database = "postgres://sekisho@127.0.0.1:1/sekisho"
		return func() error { s.database = ""; return nil }, nil
	}},
	{"another key-encryption key", "key-encryption key", func(l *lab, _ *server) (func() error, error) {
		return l.otherKey(1)
	}},
	{"another PPID secret", "PPID", func(l *lab, _ *server) (func() error, error) {
		return l.otherKey(0)
	}},
	{"a database that is none", "database", func(l *lab, s *server) (func() error, error) {
		s.database = filepath.Join(l.dir, "none.db")
		return func() error { s.database = ""; return nil }, os.WriteFile(s.database, []byte(strings.Repeat("no database ", 1000)), 0o600)
	}},
	{"a read-only file system", "read", func(l *lab, s *server) (func() error, error) {
		disk, err := l.smallDisk("8m")
		if err != nil {
			return nil, err
		}
		s.database = filepath.Join(disk, "sekisho.db")
		if out, err := exec.CommandContext(l.ctx, "mount", "-o", "remount,ro", disk).CombinedOutput(); err != nil { //nolint:gosec // our own directory
			return nil, fmt.Errorf("remount: %s", out)
		}
		return func() error { s.database = ""; return nil }, nil
	}},
	{"a listener that is taken", "address already in use", func(l *lab, s *server) (func() error, error) {
		p, err := l.openProxy("tcp", "127.0.0.1:1")
		if err != nil {
			return nil, err
		}
		listen := s.listen
		s.listen = fmt.Sprintf("127.0.0.1:%d", p.port())
		return func() error { s.listen = listen; p.close(); return nil }, nil
	}},
	{"no group in an empty database", "group", func(l *lab, s *server) (func() error, error) {
		s.database = filepath.Join(l.dir, "empty.db")
		file := filepath.Join(l.dir, "group.yaml")
		return func() error { s.database = ""; return os.Rename(file+".away", file) }, os.Rename(file, file+".away")
	}},
}

// otherKey gives the process another secret than the database was made with.
func (l *lab) otherKey(at int) (func() error, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	right := l.realms[at]
	l.realms[at] = hex.EncodeToString(key)
	return func() error { l.realms[at] = right; return nil }, nil
}
