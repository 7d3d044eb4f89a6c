package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// scriptTime bounds what one script may take, and what npm may.
const scriptTime = 3 * time.Minute

// errNoNode says why tests with clients from npm are skipped.
var errNoNode = errors.New("these tests need Node.js 20.19 or newer with npm: make prerequisites")

// installed installs the clients from npm, once, and tells where they are.
var installed = sync.OnceValues(func() (dir string, err error) {
	if dir, err = filepath.Abs("clients"); err != nil {
		return "", err
	}
	if err := checkNode(); err != nil {
		return "", err
	}
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return "", err
	}
	// The lock that was installed lies beside what it led to.
	mark := filepath.Join(dir, "node_modules", ".installed-lock.json")
	before, err := os.ReadFile(mark)
	if err == nil && bytes.Equal(before, lock) {
		return dir, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci in e2e/clients: %w\n%s", err, out)
	}
	return dir, os.WriteFile(mark, lock, 0o600)
})

// checkNode answers errNoNode where Node.js is missing, too old, or without npm.
func checkNode() error {
	if _, err := exec.LookPath("npm"); err != nil {
		return errNoNode
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return errNoNode
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "v%d.%d.", &major, &minor); err != nil || major < 20 || major == 20 && minor < 19 {
		return fmt.Errorf("%w (here is %s)", errNoNode, bytes.TrimSpace(out))
	}
	return nil
}

// clientsDir is where the scripts are, with what they need from npm.
func clientsDir(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Node.js")
	}
	dir, err := installed()
	if errors.Is(err, errNoNode) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// script is a running script of e2e/clients, and the conversation with it.
type script struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	errors bytes.Buffer
}

// heard is what a script says: one of these at a time.
type heard struct {
	Step      string `json:"step"`      // done
	Visit     string `json:"visit"`     // the person is to go there
	Listening string `json:"listening"` // a site is up at this URL
}

// startScript runs a script and tells it what it needs to know.
func startScript(t *testing.T, name string, told any) *script {
	t.Helper()
	// A site must outlive the test's own context to be ended in good order.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), scriptTime)
	t.Cleanup(cancel)
	s := &script{t: t, name: name, cmd: exec.CommandContext(ctx, "node", name)}
	s.cmd.Dir = clientsDir(t)
	s.cmd.Stderr = &s.errors
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewScanner(out)
	s.out.Buffer(nil, 1<<20)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.say(told)
	return s
}

func (s *script) say(message any) {
	s.t.Helper()
	if err := json.NewEncoder(s.in).Encode(message); err != nil {
		s.t.Fatalf("%s does not listen: %v\n%s", s.name, err, s.end())
	}
}

// hear waits for what the script says next; false when it has ended.
func (s *script) hear() (heard, bool) {
	s.t.Helper()
	if !s.out.Scan() {
		return heard{}, false
	}
	var message heard
	if err := json.Unmarshal(s.out.Bytes(), &message); err != nil {
		s.t.Fatalf("%s said %q: %v", s.name, s.out.Text(), err)
	}
	return message, true
}

// end closes the conversation, waits for the script and gives what it
// complained of.
func (s *script) end() string {
	_ = s.in.Close() // closed by the script already, if it has ended by itself
	if err := s.cmd.Wait(); err != nil {
		return fmt.Sprintf("%v\n%s", err, &s.errors)
	}
	return ""
}

// play lets a person be where the script wants them, until the script has
// done all the steps.
func (s *script) play(someone *person, steps []string) {
	s.t.Helper()
	var done []string
	for message, ok := s.hear(); ok; message, ok = s.hear() {
		switch {
		case message.Step != "":
			done = append(done, message.Step)
		case message.Visit != "":
			s.say(map[string]string{"arrived": someone.comply(someone.open(message.Visit)).url.String()})
		}
	}
	if complaint := s.end(); complaint != "" {
		s.t.Fatalf("%s, after %s: %s", s.name, strings.Join(done, ", "), complaint)
	}
	if !slices.Equal(done, steps) {
		s.t.Errorf("%s did\n%q\nand was to do\n%q", s.name, done, steps)
	}
}

// listening waits until a script that serves a site says where, and makes sure
// that it ends with the test.
func (s *script) listening() string {
	s.t.Helper()
	message, ok := s.hear()
	if !ok || message.Listening == "" {
		s.t.Fatalf("%s does not serve: %s", s.name, s.end())
	}
	s.t.Cleanup(func() {
		if complaint := s.end(); complaint != "" {
			s.t.Errorf("%s: %s", s.name, complaint)
		}
	})
	return message.Listening
}
