package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// eventPatience is how long a test waits for what must come.
const eventPatience = time.Minute

// await gives what comes next.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case got, ok := <-from:
		if !ok {
			t.Fatalf("%s: ended", what)
		}
		return got
	case <-time.After(eventPatience):
		t.Fatalf("%s: nothing comes", what)
	}
	panic("not reached")
}

// eventReceived is a line that the receivers of docs/events.md print.
type eventReceived struct {
	JTI     string          `json:"jti"`
	Type    string          `json:"type"`
	Subject string          `json:"sub"`
	Session string          `json:"sid"`
	About   json.RawMessage `json:"sub_id"`
	Data    json.RawMessage `json:"data"`
	Events  map[string]json.RawMessage
}

// subject is the person, or what else the event is about, in either form.
func (e eventReceived) subject(t *testing.T) string {
	t.Helper()
	if e.Subject != "" {
		return e.Subject
	}
	about := e.about(t)
	if about.User != nil {
		return about.User.Subject
	}
	return about.Subject + about.ID
}

// subjectID is a subject identifier (RFC 9493) of the formats that
// docs/events.md names.
type subjectID struct {
	Format  string     `json:"format"`
	Issuer  string     `json:"iss,omitempty"`
	Subject string     `json:"sub,omitempty"`
	ID      string     `json:"id,omitempty"`
	User    *subjectID `json:"user,omitempty"`
	Session *subjectID `json:"session,omitempty"`
}

func (e eventReceived) about(t *testing.T) subjectID {
	t.Helper()
	var about subjectID
	if err := json.Unmarshal(e.About, &about); err != nil {
		t.Fatalf("sub_id %s: %v", e.About, err)
	}
	return about
}

// eventProgram is a running program that prints what it receives.
type eventProgram struct {
	t     *testing.T
	name  string
	URL   string
	lines chan eventReceived
}

// startEventProgram runs a program whose last argument is the port it is to
// listen on; address is "" for one that does not listen.
func startEventProgram(t *testing.T, address string, env []string, command string, args ...string) *eventProgram {
	t.Helper()
	p := &eventProgram{t: t, name: strings.Join(args, " "), URL: "http://" + address, lines: make(chan eventReceived, 64)}
	if address != "" {
		args = append(args, address[strings.LastIndexByte(address, ':')+1:])
	}
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Dir = "clients"
	cmd.Env = append(os.Environ(), env...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go p.follow(out, read)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone already
		<-read
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("%s complained:\n%s", p.name, &complaints)
		}
	})
	if address != "" {
		p.waitUntilItListens(address, read)
	}
	return p
}

// waitUntilItListens returns when the program can be reached.
func (p *eventProgram) waitUntilItListens(address string, ended <-chan struct{}) {
	p.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	tooLate := time.After(eventPatience)
	for {
		connection, err := new(net.Dialer).DialContext(p.t.Context(), "tcp", address)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-again.C:
		case <-ended:
			p.t.Fatalf("%s ended before it listened", p.name)
		case <-tooLate:
			p.t.Fatalf("%s: %v", p.name, err)
		}
	}
}

func (p *eventProgram) follow(out io.Reader, read chan<- struct{}) {
	defer close(read)
	defer close(p.lines)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var line eventReceived
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			p.t.Errorf("%s printed %q: %v", p.name, lines.Text(), err)
			return
		}
		for kind, said := range line.Events { // the poller prints them as they are
			line.Type = kind
			if line.Data == nil {
				line.Data = said
			}
		}
		p.lines <- line
	}
}

// next is what the program receives next.
func (p *eventProgram) next(t *testing.T) eventReceived {
	t.Helper()
	return await(t, p.lines, p.name)
}

// quiet checks that the program has received nothing that was not looked at.
func (p *eventProgram) quiet(t *testing.T) {
	t.Helper()
	select {
	case line := <-p.lines:
		t.Errorf("%s heard more: %+v", p.name, line)
	default:
	}
}

// post sends what a publisher would and gives the status.
func (p *eventProgram) post(t *testing.T, message eventMessage) int {
	t.Helper()
	return message.send(t, p.URL)
}

// startNodeReceiver runs clients/event-receiver.js.
func startNodeReceiver(t *testing.T, issuer, subsystem string) *eventProgram {
	t.Helper()
	return startEventProgram(t, freeAddress(t), nil, "node", "event-receiver.js", issuer, subsystem)
}

// startPythonReceiver runs clients/event_receiver.py; nil where PyJWT is
// missing.
func startPythonReceiver(t *testing.T, issuer, subsystem string) *eventProgram {
	t.Helper()
	python := pythonWithJWT()
	if python == "" {
		return nil
	}
	return startEventProgram(t, freeAddress(t), nil, python, "-u", "event_receiver.py", issuer, subsystem)
}

// pythonWithJWT finds a Python that has PyJWT and what it needs for ES256.
// Debian's own stands first: another one on the path may lack its packages.
var pythonWithJWT = sync.OnceValue(func() string {
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import jwt, cryptography; jwt.PyJWKClient").Run() == nil {
			return python
		}
	}
	return ""
})

// eventMessage is one HTTP message to a receiver.
type eventMessage struct {
	Header http.Header
	Body   string
}

// send posts the message and gives the status that comes back.
func (m eventMessage) send(t *testing.T, url string) int {
	t.Helper()
	status, err := m.sendWithin(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (m eventMessage) sendWithin(ctx context.Context, url string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(m.Body))
	if err != nil {
		return 0, err
	}
	request.Header = m.Header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// withToken makes a message of a token and the body beside it.
func withToken(token, body string) eventMessage {
	return eventMessage{http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}, body}
}

// pushedSET makes a message of a security event token.
func pushedSET(token string) eventMessage {
	return eventMessage{http.Header{"Content-Type": {"application/secevent+jwt"}}, token}
}

// token is the JWS in a message of either form.
func (m eventMessage) token() string {
	if m.Header.Get("Content-Type") == "application/secevent+jwt" {
		return m.Body
	}
	return strings.TrimPrefix(m.Header.Get("Authorization"), "Bearer ")
}

// relay stands between the server and a receiver: it keeps what passes, and
// can say for the receiver that now is no good time.
type relay struct {
	URL    string
	target atomic.Pointer[string]
	busy   atomic.Bool
	passed chan eventMessage // what comes, before it is handed on
}

func newRelay(t *testing.T, to *eventProgram) *relay {
	t.Helper()
	r := &relay{passed: make(chan eventMessage, 64)}
	r.lead(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		message := eventMessage{request.Header, string(body)}
		r.passed <- message
		if r.busy.Load() {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			status, err := message.sendWithin(request.Context(), *r.target.Load())
			if err != nil {
				status = http.StatusBadGateway // it has gone with the test
			}
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// drain forgets what has passed.
func (r *relay) drain() {
	for len(r.passed) > 0 {
		<-r.passed
	}
}

// lead makes the relay end at another receiver.
func (r *relay) lead(to *eventProgram) { r.target.Store(&to.URL) }
