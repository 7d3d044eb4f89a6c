package courier_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/oauth"
)

// receiver is where messages come to.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	got    []got
	answer http.HandlerFunc
}

// got is a request as it came.
type got struct {
	header http.Header
	body   string
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{}
	r.answers(http.StatusAccepted)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.got = append(r.got, got{request.Header.Clone(), string(body)})
	answer := r.answer
	r.mu.Unlock()
	answer(w, request)
}

// answers has all requests answered with a status from now on.
func (r *receiver) answers(status int) {
	r.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func (r *receiver) does(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// take gives what came since the last time.
func (r *receiver) take() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.got
	r.got = nil
	return taken
}

// set is a security event token with its header.
type set struct {
	oauth.SETClaims
	header map[string]string
	raw    map[string]any
}

// readSETs verifies the tokens that came, with the keys published now.
func (e *engine) readSETs(came []got) (sets []set) {
	e.t.Helper()
	for _, one := range came {
		if one.header.Get("Content-Type") != "application/secevent+jwt" || one.header.Get("Accept") != "application/json" {
			e.t.Errorf("came with %v", one.header)
		}
		sets = append(sets, e.readSET(one.body))
	}
	return sets
}

func (e *engine) readSET(token string) (s set) {
	e.t.Helper()
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	e.must(err)
	e.must(json.Unmarshal(header, &s.header))
	purpose := keyring.SETRS256
	if s.header["alg"] == "ES256" {
		purpose = keyring.SET
	}
	claims, err := e.Keys.Verify(purpose, token)
	if err != nil {
		e.t.Fatalf("SET %s: %v", header, err)
	}
	e.must(json.Unmarshal(claims, &s.SETClaims))
	e.must(json.Unmarshal(claims, &s.raw))
	return s
}

// items are the items that SETs tell of, in the order in which they came.
func items(sets []set) (list []string) {
	for _, s := range sets {
		var sale struct{ Item string }
		_ = json.Unmarshal(s.Events[itemSold], &sale)
		list = append(list, sale.Item)
	}
	return list
}

func (e *engine) wantItems(what string, came []got, want ...string) {
	e.t.Helper()
	if list := items(e.readSETs(came)); !slices.Equal(list, want) {
		e.t.Errorf("%s: came %v, want %v", what, list, want)
	}
}

func names(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s-%02d", prefix, i))
	}
	return list
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// serveAt serves at an address that was in use before.
func serveAt(t testing.TB, address string, handler http.Handler) *httptest.Server {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server
}
