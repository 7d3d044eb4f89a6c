package courier_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
)

// E10: nothing that a receiver does delays another one. What comes to the healthy
// one here comes while the poisoned one has all the requests it can get.
func TestPoisonReceivers(t *testing.T) {
	t.Parallel()
	for name, poison := range map[string]func(t *testing.T, r *receiver){
		"hangs": func(t *testing.T, r *receiver) {
			t.Helper()
			release := make(chan struct{})
			r.does(func(http.ResponseWriter, *http.Request) { <-release })
			t.Cleanup(func() { close(release) })
		},
		"resets": func(_ *testing.T, r *receiver) {
			r.does(func(w http.ResponseWriter, _ *http.Request) {
				connection, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_ = connection.(*net.TCPConn).SetLinger(0)
					_ = connection.Close()
				}
			})
		},
		"answers with 1 GiB": func(_ *testing.T, r *receiver) {
			r.does(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				chunk := make([]byte, 1<<20)
				for range 1 << 10 {
					if _, err := w.Write(chunk); err != nil {
						return
					}
				}
			})
		},
		"redirects to itself": func(_ *testing.T, r *receiver) {
			r.does(func(w http.ResponseWriter, request *http.Request) {
				http.Redirect(w, request, r.URL, http.StatusTemporaryRedirect)
			})
		},
		"has a certificate of nobody": func(t *testing.T, r *receiver) {
			t.Helper()
			r.Close()
			r.Server = httptest.NewTLSServer(r)
			t.Cleanup(r.Close)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := openEngine(t)
			bad, healthy := newReceiver(t), newReceiver(t)
			poison(t, bad)
			came := make(chan struct{}, 1000)
			healthy.does(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusAccepted)
				came <- struct{}{}
			})
			e.stream("pay.backend", bad)
			e.stream("crypto.backend", healthy)
			ctx, stop := context.WithCancel(t.Context())
			stopped := make(chan error, 1)
			go func() { stopped <- e.Run(ctx) }()
			list := names("sale", 50)
			for i, id := range list {
				e.sold(i%2, id)
			}
			for range list {
				<-came
			}
			stop()
			if name == "hangs" {
				return // draining waits for it as long as a request may take
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if n := len(healthy.take()); n != len(list) {
				t.Errorf("%d came to the healthy one", n)
			}
		})
	}
}

// When Run ends, what is under way is finished and written down, and the leases are
// free at once.
func TestRunDrains(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	came, answer := make(chan struct{}), make(chan struct{})
	pay.does(func(http.ResponseWriter, *http.Request) {
		came <- struct{}{}
		<-answer
	})
	s := e.stream("pay.backend", pay)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- e.Run(ctx) }()
	e.sold(0, "first", "second")
	<-came
	stop()
	close(answer)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	e.wantStanding(s.ID, 1, 0)
	pay.answers(http.StatusAccepted)
	pay.take()
	other := e.process("", false)
	other.Tick(e.ctx)
	e.wantItems("the other process", pay.take(), "second")
}

func TestStreamsOfRemovedClientsGo(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay, crypto := newReceiver(t), newReceiver(t)
	e.stream("pay.backend", pay)
	s := e.stream("crypto.backend", crypto)
	e.sold(0, "teapot")
	e.update(func(tx *db.Tx) error {
		return courier.RemoveClients(e.ctx, tx, []string{"crypto.backend", "unknown.client"})
	})
	e.tick()
	if n := len(crypto.take()); n != 0 {
		t.Errorf("%d came", n)
	}
	e.must(e.Sweep(e.ctx))
	e.wantStanding(s.ID, 0, 0)
	e.wantItems("another", pay.take(), "teapot")
}
