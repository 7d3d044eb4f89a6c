package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// program is the built binary.
var program string

func TestMain(m *testing.M) {
	if address := os.Getenv(floorVariable); address != "" {
		os.Exit(serveFloor(address))
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sekisho-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "sekisho")
	build := exec.Command("go", "build", "-o", program, "../cmd/sekisho")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	if localhost, err = makeCertificate(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// server is one running sekisho process.
type server struct {
	Issuer string
	Ops    string // base URL of the operators' listener
	Dir    string
	File   string // its group file
	log    *logBuffer
	args   []string
	env    []string // nil: that of the test
	cmd    *exec.Cmd
}

// logBuffer keeps what a process logs and tells when it serves.
type logBuffer struct {
	sign    string // what a line of the log holds when the process serves
	mu      sync.Mutex
	text    bytes.Buffer
	serving chan struct{} // closed when the process says so
	ended   chan struct{} // closed when it logs no more
}

func newLogBuffer(sign string) *logBuffer {
	return &logBuffer{sign: sign, serving: make(chan struct{}), ended: make(chan struct{})}
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// follow reads the log to its end.
func (l *logBuffer) follow(from io.Reader) {
	defer close(l.ended)
	announced := false
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		l.mu.Lock()
		l.text.WriteString(line)
		l.mu.Unlock()
		if !announced && strings.Contains(line, l.sign) {
			announced = true
			close(l.serving)
		}
		if err != nil {
			return
		}
	}
}

// freeAddress finds a port that is free now.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
}

// newServer prepares a server in a directory of its own; group is the text of
// its group file, in which $ISSUER stands for the issuer.
func newServer(t testing.TB, group string) *server {
	t.Helper()
	return newServerIn(t, t.TempDir(), group)
}

func newServerIn(t testing.TB, dir, group string) *server {
	t.Helper()
	return newServerUnder(t, "http://", dir, group)
}

// newSecureServer is newServer under https.
func newSecureServer(t testing.TB, group string) *server {
	t.Helper()
	s := newServerUnder(t, "https://", t.TempDir(), group)
	s.args = append(s.args, "--tls-cert", localhost.Cert, "--tls-key", localhost.Key)
	return s
}

func newServerUnder(t testing.TB, scheme, dir, group string) *server {
	t.Helper()
	listen, ops := freeAddress(t), freeAddress(t)
	s := &server{Issuer: scheme + listen, Ops: "http://" + ops, Dir: dir, File: filepath.Join(t.TempDir(), "group.yaml")}
	if err := os.WriteFile(s.File, []byte(strings.ReplaceAll(group, "$ISSUER", s.Issuer)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{
		"serve", "--dev", "--database", filepath.Join(dir, "sekisho.db"), "--group", s.File,
		"--listen", listen, "--ops-listen", ops,
	}
	return s
}

// start runs the process and returns when it serves.
func (s *server) start(t testing.TB) *server {
	t.Helper()
	if err := s.launch(t); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.log.serving:
	case <-s.log.ended:
		t.Fatalf("the server ended before it served:\n%s", s.log)
	}
	return s
}

func (s *server) launch(t testing.TB) error {
	t.Helper()
	s.cmd = exec.CommandContext(t.Context(), program, s.args...)
	s.cmd.Env = s.env
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	s.log = newLogBuffer(`"msg":"serving"`)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go s.log.follow(stderr)
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.log)
		}
	})
	return nil
}

// stop ends the process as an operator does and waits for it.
func (s *server) stop(t testing.TB) {
	t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	<-s.log.ended
	if err := s.cmd.Wait(); err != nil && t.Context().Err() == nil {
		t.Errorf("the server did not end well: %v", err)
	}
}

// sekisho runs one command of the program to its end.
func sekisho(t testing.TB, input string, args ...string) (output string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// logLines are the structured log lines of the server so far.
func (s *server) logLines(t testing.TB) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(s.log.String()) {
		var parsed map[string]any
		if err := json.Unmarshal([]byte(line), &parsed); err != nil {
			t.Errorf("a log line is not JSON: %q", line)
			continue
		}
		lines = append(lines, parsed)
	}
	return lines
}
