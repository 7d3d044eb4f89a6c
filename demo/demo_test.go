package demo_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sekisho-id/sekisho/demo"
	"github.com/sekisho-id/sekisho/internal/app"
)

// start runs the authorization server and the example group on free ports.
func start(t *testing.T) *demo.Group {
	t.Helper()
	group, _ := startWith(t, nil, app.Config{})
	return group
}

// startWith is start with traces. The function it gives ends the server.
func startWith(t *testing.T, traces demo.Traces, config app.Config) (group *demo.Group, end func() error) {
	t.Helper()
	dir := t.TempDir()
	group, err := demo.Listen(t.Context(), demo.Config{Dir: dir, Addresses: demo.Ports(0), Traces: traces})
	if err != nil {
		t.Fatal(err)
	}
	config.Database, config.GroupFile, config.Dev = filepath.Join(dir, "sekisho.db"), group.GroupFile(), true
	server, err := app.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Run(serving, group.Server(), nil) }()
	end = sync.OnceValue(func() error {
		stop()
		return errors.Join(<-stopped, server.Close(context.Background()))
	})
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("the authorization server did not end well: %v", err)
		}
	})
	if err := group.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := group.Close(); err != nil {
			t.Errorf("close the group: %v", err)
		}
	})
	return group, end
}

func TestEveryScenario(t *testing.T) {
	t.Parallel()
	group := start(t)
	var out bytes.Buffer
	err := group.Check(t.Context(), &out)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), " 0 failed") {
		t.Error("the trace does not say that nothing failed")
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addresses := demo.Ports(0)
	addresses.Pay = taken.Addr().String()
	_, err = demo.Listen(t.Context(), demo.Config{Dir: t.TempDir(), Addresses: addresses})
	if err == nil {
		t.Fatal("a port in use was no error")
	}
	for _, word := range []string{"pay", addresses.Pay, "--port"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error %q does not name %s", err, word)
		}
	}
}
