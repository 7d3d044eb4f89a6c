package outgoing_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sekisho-id/sekisho/internal/outgoing"
)

// The clock of these tests is synctest's: seconds cost nothing and are exact.
func TestSlowReceiversEndByTheDeadline(t *testing.T) {
	t.Parallel()
	cases := map[string]func(connection net.Conn){
		"reads nothing": func(net.Conn) {},
		"answers nothing": func(connection net.Conn) {
			io.Copy(io.Discard, connection)
		},
		"drips its header": func(connection net.Conn) {
			http.ReadRequest(bufio.NewReader(connection))
			drip(connection, "HTTP/1.1 200 OK\r\n", "X-More: and more\r\n")
		},
		"drips its body": func(connection net.Conn) {
			http.ReadRequest(bufio.NewReader(connection))
			drip(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n", "a")
		},
	}
	for name, serve := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var serving sync.WaitGroup
				client := outgoing.NewClientWithDial(outgoing.Policy{InsecureHTTP: true}, func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					serving.Go(func() { serve(far) })
					t.Cleanup(func() {
						far.Close()
						serving.Wait()
					})
					return near, nil
				})
				start := time.Now()
				_, _, err := get(t, client, "http://127.0.0.1/")
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				wantNoAnswer(t, name, err)
				if took := time.Since(start); took != outgoing.TotalTimeout {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func drip(connection net.Conn, first, again string) {
	for _, err := io.WriteString(connection, first); err == nil; _, err = io.WriteString(connection, again) {
		time.Sleep(time.Second)
	}
}

// A name server that answers nothing counts as a slow connection.
func TestConnectingEndsByItsOwnDeadline(t *testing.T) {
	t.Parallel()
	// What package net keeps of its configuration must not belong to the bubble.
	if _, err := resolver(t, netip.MustParseAddr("1.1.1.1")).LookupHost(t.Context(), "receiver.example"); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		hangs := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		client := outgoing.NewClientWithResolver(outgoing.Policy{}, hangs)
		start := time.Now()
		_, _, err := get(t, client, "https://receiver.example/")
		wantNoAnswer(t, "no name server", err)
		if took := time.Since(start); took > outgoing.ConnectTimeout {
			t.Errorf("took %s", took)
		}
	})
}
