package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	lab      *lab
	name     string
	listen   string
	ops      string
	database string   // if not that of the lab
	args     []string // more of them
	clock    *clock   // if not that of the lab

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone

	mu     sync.Mutex
	lines  []string // of its logs at level warning and above
	before int      // so many when it was started
}

// address finds the addresses of so many servers. The issuer is named by the
// first one's.
func (l *lab) address(servers int) error {
	for i := range servers {
		s := &server{lab: l, name: string(rune('a' + i))}
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
	s.cmd = exec.Command(s.lab.program, append([]string{ //nolint:gosec // built above
		"serve", "--database", cmp.Or(s.database, s.lab.database),
		"--group", filepath.Join(s.lab.dir, "group.yaml"), "--listen", s.listen, "--ops-listen", s.ops,
	}, s.args...)...)
	s.cmd.Env = append(os.Environ(), "SEKISHO_FAULTLAB_CLOCK="+cmp.Or(s.clock, s.lab.clock).path,
		"SEKISHO_PPID_SECRET="+s.lab.realms[0], "SEKISHO_KEY_ENCRYPTION_KEY="+s.lab.realms[1])
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	s.before = len(s.lines)
	s.mu.Unlock()
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
		return fmt.Errorf("server %s ended before it served: %s", s.name, s.lastWords())
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

// lastWords are what the process wrote since it was started.
func (s *server) lastWords() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines[s.before:], " ")
}

// kill ends the process at once, as kill -9 does.
func (s *server) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.ended
}

// running reports whether the process was started and has not ended.
func (s *server) running() bool {
	if s.ended == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
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
	text, err := s.metrics(ctx)
	return strings.Contains(text, `result="delivered"`), err
}

// metrics are those of the process.
func (s *server) metrics(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+"/metrics", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// gauge is the value of a metric without labels.
func (s *server) gauge(ctx context.Context, name string) (float64, error) {
	text, err := s.metrics(ctx)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("server %s has no metric %s", s.name, name)
}

// ready reports whether the process says that it is.
func (s *server) ready(ctx context.Context) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+"/readyz", nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, ctx.Err()
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK, nil
}
