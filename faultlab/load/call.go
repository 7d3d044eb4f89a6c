package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const answerLimit = 15 * time.Second // for an answer; the server gives one within 5

// Replica is a server that the balancer knows.
type Replica struct {
	Name   string
	client *http.Client
	out    atomic.Bool // taken out of the balancer
}

// NewReplica names the address where it listens.
func NewReplica(name, address string) *Replica {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &Replica{Name: name, client: &http.Client{
		Timeout:       answerLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
		},
	}}
}

// Out takes the replica out of the balancer, or puts it back.
func (r *Replica) Out(out bool) { r.out.Store(out) }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// balancer sends to any replica, and to the next if that one does not accept the
// connection, as balancers do.
type balancer struct {
	replicas []*Replica
}

func (b *balancer) send(request *http.Request) (*answer, *Replica, error) {
	first := rand.N(len(b.replicas)) // no secret
	var refused error = errors.New("no replica is in the balancer")
	replica := b.replicas[first]
	for i := range b.replicas {
		replica = b.replicas[(first+i)%len(b.replicas)]
		if replica.out.Load() {
			continue
		}
		a, err := replica.send(request)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return a, replica, err
		}
		refused = err
	}
	return nil, replica, errNobody{refused}
}

// errNobody says that no replica accepted the connection.
type errNobody struct{ error }

func (r *Replica) send(request *http.Request) (*answer, error) {
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	response, err := r.client.Do(again)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &answer{response.StatusCode, response.Header, body}, nil
}

// judge says what came of a request whose good answer has one of the statuses.
func judge(a *answer, err error, good ...int) (Outcome, string) {
	var nobody errNobody
	switch {
	case errors.As(err, &nobody):
		return Unavailable, "connection refused"
	case err != nil:
		return Unknown, err.Error()
	}
	for _, status := range good {
		if a.status == status {
			return OK, ""
		}
	}
	var told struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(a.body, &told) // a page has neither
	said := strings.TrimSpace(fmt.Sprintf("%d %s %s", a.status, told.Error, told.Description))
	switch {
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
		return Unavailable, said
	case a.status >= 400 && a.status < 500:
		return Refused, said
	}
	return Wrong, said
}

// post makes a request of a client; a public one has no secret.
func (l *Load) post(ctx context.Context, path, client string, confidential bool, form url.Values) (*http.Request, error) {
	if !confidential {
		form.Set("client_id", client)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if confidential {
		request.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(secret))
	}
	return request, nil
}
