package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// serviceCommands are what the script of the service needs.
func serviceCommands(commands map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	commands["manager"], commands["notified"] = manager, notified
	commands["freeport"], commands["unready"], commands["serves"] = freePort, unready, serves
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

// serves PORT waits until something answers there.
func serves(ts *testscript.TestScript, _ bool, args []string) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(longWait); ; <-again.C {
		conn, err := net.Dial("tcp", net.JoinHostPort("localhost", strings.TrimSpace(args[0])))
		if err == nil {
			ts.Check(conn.Close())
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("nothing serves: %v", err)
		}
	}
}
