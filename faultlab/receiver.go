package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// kind is how a receiver behaves, until it is mended.
type kind string

const (
	healthy  kind = "healthy"
	down     kind = "down"     // nobody listens
	hang     kind = "hang"     // takes the message and never answers
	fails    kind = "fails"    // answers 500
	redirect kind = "redirect" // answers 307 to a receiver that would take it
	poison   kind = "poison"   // answers 400
	reset    kind = "reset"    // resets the connection in the midst of a body
	slow     kind = "slow"     // answers after 10 s
	gone     kind = "gone"     // answers 410
)

const slowness = 10 * time.Second

// receiver takes events at an address of its own.
type receiver struct {
	lab     *lab
	name    string
	kind    kind
	number  int // of all receivers
	address string
	stream  string // id
	log     *ledger[arrival]
	server  *http.Server

	mended   atomic.Bool
	lured    atomic.Int64 // requests that came by a redirect
	underway atomic.Int64
	peak     atomic.Int64 // most at a time, since it was last looked at

	mu     sync.Mutex
	taken  map[int]bool // events answered with 202
	newest int          // of them
}

// note remembers that an event was answered with 202.
func (r *receiver) note(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.taken[n] {
		r.taken[n], r.newest = true, max(r.newest, n)
	}
}

// has says how many events it took, and the newest of them.
func (r *receiver) has() (taken, newest int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken), r.newest
}

// addReceivers adds n receivers of a kind.
func (l *lab) addReceivers(k kind, n int) error {
	for i := range n {
		number := len(l.receivers)
		r := &receiver{lab: l, name: fmt.Sprintf("%s%d", k, i), kind: k, number: number, taken: map[int]bool{}}
		r.address = fmt.Sprintf("127.0.%d.%d:0", 1+number/200, 1+number%200)
		var err error
		if r.log, err = newLedger[arrival](filepath.Join(l.dir, "receiver-"+r.name+".log")); err != nil {
			return err
		}
		if err := r.open(); err != nil {
			return errors.Join(err, r.log.close())
		}
		l.receivers = append(l.receivers, r)
	}
	return nil
}

// of gives the receivers of a kind.
func (l *lab) of(k kind) []*receiver {
	var found []*receiver
	for _, r := range l.receivers {
		if r.kind == k {
			found = append(found, r)
		}
	}
	return found
}

// open listens, again at the address it had before.
func (r *receiver) open() error {
	listener, err := new(net.ListenConfig).Listen(r.lab.ctx, "tcp", r.address)
	if err != nil {
		return err
	}
	r.address = listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /events", r.take)
	mux.HandleFunc("POST /elsewhere", func(http.ResponseWriter, *http.Request) { r.lured.Add(1) })
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = r.server.Serve(listener) }() // it ends with close
	return nil
}

// close has nobody listen any more.
func (r *receiver) close() { _ = r.server.Close() }

// take takes one message and answers as its kind does.
func (r *receiver) take(w http.ResponseWriter, request *http.Request) {
	at := r.lab.since()
	now := r.underway.Add(1)
	defer r.underway.Add(-1)
	for peak := r.peak.Load(); now > peak && !r.peak.CompareAndSwap(peak, now); peak = r.peak.Load() {
	}
	kind := r.kind
	if r.mended.Load() {
		kind = healthy
	}
	if kind == reset && r.number%2 == 0 {
		_, _ = request.Body.Read(make([]byte, 16)) // the rest never comes in
		cut(w, "")
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // whoever sent it is gone, and will say it again
	}
	line, err := read(request, body)
	if err != nil {
		line.N = -1 // the checker will see it
		line.Said = err.Error()
	}
	line.At = at
	line.Status = r.answer(w, request, kind)
	r.log.write(line)
	if line.Status == http.StatusAccepted {
		r.note(line.N)
	}
}

// answer answers and says what with.
func (r *receiver) answer(w http.ResponseWriter, request *http.Request, k kind) int {
	status := http.StatusAccepted
	switch k {
	case healthy, down:
	case hang:
		select {
		case <-request.Context().Done(): // the other side has given up
		case <-r.lab.ctx.Done():
		}
		return 0
	case slow:
		select {
		case <-time.After(slowness):
		case <-request.Context().Done():
			return 0
		}
	case reset:
		cut(w, "HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\nhalf")
		return http.StatusAccepted
	case fails:
		status = http.StatusInternalServerError
	case gone:
		status = http.StatusGone
	case redirect:
		w.Header().Set("Location", "http://"+r.address+"/elsewhere")
		status = http.StatusTemporaryRedirect
	case poison:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"err":"invalid_request","description":"not to my taste"}`)
		return http.StatusBadRequest
	}
	w.WriteHeader(status)
	return status
}

// cut writes some bytes and resets the connection.
func cut(w http.ResponseWriter, text string) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(connection, text)
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// read finds in a message which event it is, its jti, and what of it must be the
// same at every try: all claims of a SET; body, subject and time of an event with
// an ID token.
func read(request *http.Request, body []byte) (line arrival, err error) {
	token := string(body)
	bearer, isBearer := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	if isBearer {
		token = bearer
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return line, fmt.Errorf("%d parts of a token", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return line, err
	}
	var claims struct {
		Subject    string                     `json:"sub"`
		ID         string                     `json:"jti"`
		HappenedAt int64                      `json:"toe"`
		Events     map[string]json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return line, err
	}
	said, payload := text, []byte(claims.Events[eventType])
	if isBearer {
		said = fmt.Appendf(nil, "%s %d %s %s", claims.Subject, claims.HappenedAt, claims.Events[eventType], body)
		payload = body
	}
	data := struct{ N int }{-1}
	if err := json.Unmarshal(payload, &data); err != nil {
		return line, err
	}
	sum := sha256.Sum256(said)
	return arrival{N: data.N, ID: claims.ID, Said: hex.EncodeToString(sum[:8])}, nil
}

// subscribe makes the stream of each receiver: by turns SETs, and bodies with
// ID tokens.
func (l *lab) subscribe() error {
	for i, r := range l.receivers {
		method := oauth.DeliveryPush
		if i%2 == 1 {
			method = oauth.DeliveryIDToken
		}
		status, body, err := l.newCaller(r.name+".backend", "ssf.manage").post("/ssf/streams", map[string]any{
			"delivery": map[string]any{"method": method, "endpoint_url": "http://" + r.address + "/events"},
		})
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("stream of %s: %d %s", r.name, status, body)
		}
		if err != nil {
			return err
		}
		var made struct {
			ID string `json:"stream_id"`
		}
		if err := json.Unmarshal(body, &made); err != nil {
			return err
		}
		r.stream = made.ID
	}
	return nil
}

// resume has the stream of a receiver go on that was paused.
func (r *receiver) resume() error {
	status, body, err := r.lab.newCaller(r.name+".backend", "ssf.manage").post("/ssf/status", map[string]any{
		"stream_id": r.stream, "status": "enabled",
	})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("resume %s: %d %s", r.name, status, body)
	}
	return err
}

// takePeak gives the most requests that some receivers had at a time since the
// last call.
func takePeak(receivers []*receiver) int64 {
	var most int64
	for _, r := range receivers {
		most = max(most, r.peak.Swap(0))
	}
	return most
}

// waitFor waits until all of some receivers have taken so many events.
func (l *lab) waitFor(receivers []*receiver, n int, limit time.Duration) error {
	return l.until(fmt.Sprintf("%d events at each of %d receivers", n, len(receivers)), limit, func() (bool, error) {
		for _, r := range receivers {
			if taken, _ := r.has(); taken < n {
				return false, nil
			}
		}
		return true, nil
	})
}
