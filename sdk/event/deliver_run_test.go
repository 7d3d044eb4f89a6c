package event_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
)

// run runs publishers until stop is called.
func (f *publishing) run(publishers ...*event.Publisher) (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	for _, p := range publishers {
		running.Go(func() {
			if err := p.Run(ctx); err != nil {
				f.t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	f.t.Cleanup(stop)
	return stop
}

func (h *hook) waitFor(count int) {
	for range count {
		<-h.came
	}
}

// E10: one that waits for good does not end while another receiver hangs, since
// here nothing ever breaks that one off.
func TestAHangingReceiverDelaysNobody(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	good, hangs := f.hook("good"), f.hook("hangs")
	patient := receiverClient(t)
	patient.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: testRoots()}
	if err := errors.Join(f.publisher.SetClient(patient), f.publisher.SetGrace(0)); err != nil {
		t.Fatal(err)
	}
	hangs.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	const people = 40
	for n := range people {
		f.publish(f.sold(fmt.Sprintf("person%d", n), strconv.Itoa(n)))
	}
	f.run(f.publisher)
	good.waitFor(people)
	hangs.waitFor(8) // and no more of them at a time
	if n := len(hangs.got()); n != 8 {
		t.Errorf("%d requests to one receiver at a time", n)
	}
}

// E10: receivers that hang, break off, answer without end, send in circles or
// cannot be spoken with do not keep a good one from its events.
func TestPoisonReceiversDelayNobody(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	if err := f.publisher.SetGrace(0); err != nil {
		t.Fatal(err)
	}
	good := f.hook("good")
	over := make(chan struct{})
	poison := map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-over:
			case <-r.Context().Done():
			}
		},
		"resets": func(w http.ResponseWriter, _ *http.Request) {
			connection, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			buffered.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of")
			buffered.Flush()
			if raw, ok := connection.(*tls.Conn).NetConn().(*net.TCPConn); ok {
				raw.SetLinger(0)
				raw.Close()
			}
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest) // whose reason is read
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
		"circles": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		},
	}
	hooks := make(map[string]*hook)
	for name, answer := range poison {
		hooks[name] = f.hook(name)
		hooks[name].answers(answer)
	}
	f.noTLS("notls")

	const people = 40
	for n := range people {
		f.publish(f.sold(fmt.Sprintf("person%d", n), strconv.Itoa(n)))
	}
	stop := f.run(f.publisher)
	good.waitFor(people)
	for name, h := range hooks {
		h.waitFor(1)
		if n := len(h.got()); n > people {
			t.Errorf("%s was asked %d times", name, n)
		}
	}
	stop()
	close(over)
}

// noTLS subscribes with a webhook that then refuses to speak TLS.
func (f *publishing) noTLS(subsystem string) {
	f.t.Helper()
	var broken atomic.Bool
	server := httptest.NewUnstartedServer(&hook{t: f.t, came: make(chan struct{}, 10_000)})
	server.Config.ErrorLog = quietLog
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if broken.Load() {
			return nil, errors.New("no")
		}
		return nil, nil
	}}
	server.StartTLS()
	f.t.Cleanup(server.Close)
	id, _ := f.register(subsystem, server.URL)
	if status, answer := f.ask(subsystem, http.MethodPost, id+"/verify", ""); status != http.StatusOK {
		f.t.Fatalf("verifying: got %d %v", status, answer)
	}
	broken.Store(true)
	server.CloseClientConnections()
}

// Of two replicas one delivers, so that nothing is sent twice.
func TestReplicasShareTheWork(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	stop := f.run(f.publisher, f.newPublisher(), f.newPublisher())
	for n := range 30 {
		f.publish(f.sold("alice", strconv.Itoa(n)))
	}
	h.waitFor(30)
	stop()
	want := "0"
	for n := 1; n < 30; n++ {
		want += " " + strconv.Itoa(n)
	}
	h.want(want)
}

// A replica that is gone is replaced when its lease is over (F14).
func TestAnotherReplicaTakesOver(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	f.publish(f.sold("alice", "lamp"))
	if held, err := f.outbox.HoldLease(t.Context(), f.issuer.Clock.Now()); err != nil || !held {
		t.Fatal(held, err)
	}
	f.deliver()
	f.pass(event.LeaseLife - time.Second)
	h.want("")
	f.pass(4 * time.Second)
	h.want("lamp")
	if held, err := f.outbox.HoldLease(t.Context(), f.issuer.Clock.Now()); err != nil || held {
		t.Error("the lease was taken from who holds it", err)
	}
	f.pass(30 * time.Second)
	h.want("lamp")
}

func TestWhatWaitsSurvivesARestart(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	h.answers(status(500))
	f.publish(f.sold("alice", "1"), f.sold("alice", "2"))
	f.deliver()
	f.delivery.Close()
	h.answers(nil)
	f.publisher = f.newPublisher()
	next, err := event.NewStepper(t.Context(), f.publisher)
	if err != nil {
		t.Fatal(err)
	}
	f.delivery = next
	t.Cleanup(next.Close)
	f.deliver()
	h.want("1")
	f.pass(10 * time.Second)
	h.want("1 1 2")
}

// A request under way when Run ends may end too, and counts. One that takes too
// long is broken off, and sent again by the next with the same jti.
func TestRunEndsInOrder(t *testing.T) {
	t.Parallel()
	for name, patient := range map[string]bool{"patient": true, "impatient": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setupPublisher(t)
			h := f.hook("pay")
			release, broken := make(chan struct{}), make(chan struct{}, 1)
			h.answers(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-release:
				case <-r.Context().Done():
					broken <- struct{}{}
				}
			})
			grace := time.Duration(0)
			if patient {
				grace = time.Hour
			}
			if err := f.publisher.SetGrace(grace); err != nil {
				t.Fatal(err)
			}
			f.publish(f.sold("alice", "lamp"))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- f.publisher.Run(ctx) }()
			h.waitFor(1)
			cancel()
			if patient {
				close(release)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			h.answers(nil)
			f.deliver()
			if patient {
				h.want("lamp")
				return
			}
			<-broken
			h.want("lamp lamp")
			calls := h.got()
			if calls[0].credential(t)["jti"] != calls[1].credential(t)["jti"] {
				t.Error("another jti")
			}
		})
	}
}

// A database that is away is not the end of Run.
func TestRunOutlivesItsDatabase(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	f.publish(f.sold("alice", "lamp"))
	rename := func(from, to string) {
		if _, err := f.db.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("sekisho_event_lease", "elsewhere")
	failed := make(chan struct{}, 10_000)
	p := f.newPublisher()
	p.Log = notify(failed)
	f.run(p)
	<-failed
	<-failed
	h.want("")
	rename("elsewhere", "sekisho_event_lease")
	h.waitFor(1)
	h.want("lamp")
}
