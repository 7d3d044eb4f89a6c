package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sekisho-id/sekisho/internal/tracetest"
)

// serviceCommands are what the scripts of the service and of traces need.
func serviceCommands(t *testing.T, commands map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	commands["manager"], commands["notified"] = manager, notified
	commands["freeport"], commands["unready"], commands["serves"] = freePort, unready, serves

	// collector VARIABLE runs a collector of traces and puts its URL into the
	// variable; spans SERVICE NAME wants a span from it.
	var collectors sync.Map
	commands["collector"] = func(ts *testscript.TestScript, _ bool, args []string) {
		collector := tracetest.Start(t)
		collectors.Store(ts.Getenv("WORK"), collector)
		ts.Setenv(args[0], collector.URL)
	}
	commands["spans"] = func(ts *testscript.TestScript, _ bool, args []string) {
		collector, _ := collectors.Load(ts.Getenv("WORK"))
		if !slices.ContainsFunc(collector.(*tracetest.Collector).Spans(), func(s tracetest.Span) bool { return s.Service == args[0] && s.Name == args[1] }) {
			ts.Fatalf("no span %s of %s", args[1], args[0])
		}
	}
	return commands
}

const longWait = 20 * time.Second // ends a script that would hang

// sockets are those of the service managers, by the directory of their script.
var sockets sync.Map

// manager plays the service manager: it makes the socket of sd_notify(3) and names
// it in the script's environment.
func manager(ts *testscript.TestScript, _ bool, _ []string) {
	dir, err := os.MkdirTemp("", "sd") // a socket's path must be short
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { _ = socket.Close() })
	sockets.Store(ts.Getenv("WORK"), socket)
	ts.Setenv("NOTIFY_SOCKET", path)
}

// notified STATE waits for what the service manager is told next.
func notified(ts *testscript.TestScript, _ bool, args []string) {
	socket, _ := sockets.Load(ts.Getenv("WORK"))
	told := make([]byte, 256)
	ts.Check(socket.(*net.UnixConn).SetReadDeadline(time.Now().Add(longWait)))
	n, err := socket.(*net.UnixConn).Read(told)
	ts.Check(err)
	if got := string(told[:n]); got != args[0] {
		ts.Fatalf("the service manager is told %q, not %q", got, args[0])
	}
}

// freePort VARIABLE puts a port on localhost that is free now into the variable.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "localhost:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	ts.Check(err)
	ts.Check(listener.Close())
	ts.Setenv(args[0], port)
}

// unready VARIABLE runs an operators' listener that is not ready, and puts its port
// into the variable.
func unready(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "localhost:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	ts.Check(err)
	server := &http.Server{ReadHeaderTimeout: longWait, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"database":"no such disk"}`)
	})}
	go func() { _ = server.Serve(listener) }()
	ts.Defer(func() { _ = server.Close() })
	ts.Setenv(args[0], port)
}

// serves PORT waits until a server answers there, and asks it for its keys.
func serves(ts *testscript.TestScript, _ bool, args []string) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(longWait); ; <-again.C {
		response, err := http.Get("http://localhost:" + args[0] + "/oauth2/jwks")
		if err == nil {
			ts.Check(response.Body.Close())
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("nothing serves: %v", err)
		}
	}
}
