package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 60 * time.Second
	stopLimit  = 60 * time.Second
)

// server is one process of the authorization server. It keeps its addresses when
// it is started again.
type server struct {
	lab    *lab
	name   string
	listen string
	ops    string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone

	mu    sync.Mutex
	lines []string // of its logs at level warning and above
}

// address finds the address that the issuer is named by; it is the first
// server's.
func (l *lab) address() error {
	for _, name := range []string{"a", "b"} {
		s := &server{lab: l, name: name}
		var err error
		if s.listen, err = freeAddress(l.ctx); err != nil {
			return err
		}
		if s.ops, err = freeAddress(l.ctx); err != nil {
			return err
		}
		l.servers = append(l.servers, s)
	}
	l.issuer = "http://" + l.servers[0].listen
	return nil
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "localhost:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port), nil
}

// start runs the process and returns when it serves.
func (s *server) start() error {
	s.cmd = exec.Command(s.lab.program, "serve", "--database", s.lab.database, //nolint:gosec // built above
		"--group", filepath.Join(s.lab.dir, "group.yaml"), "--listen", s.listen, "--ops-listen", s.ops)
	s.cmd.Env = append(os.Environ(), "SEKISHO_FAULTLAB_CLOCK="+s.lab.clock.path,
		"SEKISHO_PPID_SECRET="+s.lab.realms[0], "SEKISHO_KEY_ENCRYPTION_KEY="+s.lab.realms[1])
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	serving, ended := make(chan struct{}), make(chan struct{})
	s.ended = ended
	go func() {
		s.follow(stderr, serving)
		_ = s.cmd.Wait() // how it ended is asked of ProcessState
		close(ended)
	}()
	select {
	case <-serving:
		return nil
	case <-ended:
		return fmt.Errorf("server %s ended before it served: %s", s.name, s.warnings())
	case <-time.After(startLimit):
		return fmt.Errorf("server %s does not serve after %s", s.name, startLimit)
	}
}

// follow keeps the log in a file, and the lines worth knowing in memory.
func (s *server) follow(from io.Reader, serving chan struct{}) {
	file, err := os.OpenFile(filepath.Join(s.lab.dir, "server-"+s.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // our own directory
	if err != nil {
		return
	}
	defer file.Close()
	lines := bufio.NewReader(io.TeeReader(from, file))
	announced := false
	for {
		line, err := lines.ReadString('\n')
		if !announced && strings.Contains(line, `"msg":"serving"`) {
			announced = true
			close(serving)
		}
		if line != "" && !strings.Contains(line, `"level":"INFO"`) {
			s.mu.Lock()
			s.lines = append(s.lines, strings.TrimSpace(line))
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// warnings are the log lines that are more than information.
func (s *server) warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// kill ends the process at once, as kill -9 does.
func (s *server) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.ended
}

// stop ends the process as an operator does.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("server %s ended with %d: %s", s.name, code, s.warnings())
		}
		return nil
	case <-time.After(stopLimit):
		return fmt.Errorf("server %s does not end after %s", s.name, stopLimit)
	}
}

// delivers reports whether this process has delivered anything since it started,
// as its metrics tell.
func (s *server) delivers(ctx context.Context) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+"/metrics", nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return strings.Contains(string(text), `result="delivered"`), err
}
