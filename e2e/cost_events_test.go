package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

const (
	eventRounds     = 7
	eventDeliveries = 2000 // a round
	eventPeople     = 50
	eventsAtOnce    = 100 // of one request to publish
	eventLanes      = 100 // receivers of each form
	proofsAtOnce    = 50  // of one request for credentials
	proofRequests   = 100 // a round

	eventNoted = time.Second / 2 // within which the last deliveries are written down

	detailsType = "urn:sekisho:params:oauth:token-type:subject"
	idTokenType = "urn:ietf:params:oauth:token-type:id_token"
	exchangeURN = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// eventForms are the forms of a pushed message, each with the receivers of its
// own: a1, a2, … and b1, b2, ….
var eventForms = []struct{ name, prefix, method string }{
	{"SET", "a", "urn:ietf:rfc:8935"},
	{"ID token", "b", "urn:sekisho:event:delivery:id-token"},
}

// eventWidths are the numbers of receivers of one event that are measured.
var eventWidths = []int{1, 10, eventLanes}

// BenchmarkEvents measures what events cost the server, from the request that
// publishes them to the note that they were delivered: CPU time per delivery,
// beside a bare process on the same core that signs once with ES256 and posts to
// the same receiver. Receivers and publisher have the other core.
func BenchmarkEvents(b *testing.B) {
	if testing.Short() {
		b.Skip("starts servers and loads them for a minute")
	}
	receivers := newEventReceivers(b)
	rp := newSite(b)
	as := newServer(b, rp.fill(eventGroupFile()))
	as.env = append(os.Environ(), "GOMAXPROCS=1", "SEKISHO_LOG_LEVEL=info")
	as.start(b)
	floor := startFloor(b)
	bench := &eventBench{B: b, as: as, receivers: receivers, floor: floor}
	bench.signUp(rp)
	bench.subscribe()
	pin(b, as.cmd.Process.Pid, 0)
	pin(b, floor.pid, 0)
	pin(b, os.Getpid(), 1)
	for _, form := range eventForms {
		for _, width := range eventWidths {
			b.Run(fmt.Sprintf("%s/%d", form.prefix, width), func(b *testing.B) {
				bench.within(b).deliveries(form.name, form.prefix, width)
			})
		}
	}
	b.Run("credentials", func(b *testing.B) { bench.within(b).credentials() })
}

// within is the same bench for a part of it.
func (b *eventBench) within(part *testing.B) *eventBench {
	b.B = part
	return b
}

// eventGroupFile declares a publisher, receivers of both forms, and a type of
// event for each form and width.
func eventGroupFile() string {
	file := `
issuer: $ISSUER
subsystems:
  market:
    scenario: service
    resource: { audience: https://api.market.test, scopes: { items.read: See your items } }
    clients: { backend: { secret_sha256: [$HASH_PAY], rate: 100000 } }
  market-app:
    scenario: app
    clients: { spa: { type: spa, redirect_uris: ["$RP/spa"] } }
`
	events := "calls:\n  - { from: market-app, to: market, user: [items.read] }\nevents:\n"
	for _, form := range eventForms {
		var names []string
		for i := range eventLanes {
			name := fmt.Sprintf("%s%d", form.prefix, i)
			names = append(names, name)
			file += "  " + name + ":\n    scenario: backend\n    clients: { backend: { secret_sha256: [$HASH_CRYPTO], redirect_uris: [https://" + name + ".test/], id_token_alg: ES256 } }\n"
		}
		for _, width := range eventWidths {
			events += fmt.Sprintf("  - { publisher: market, types: [%s.to%d], receivers: [%s] }\n", form.prefix, width, strings.Join(names[:width], ", "))
		}
	}
	return file + events
}

// eventReceivers are all receivers, in this process: each address of 127.1.0.0/16
// is one, at the same port.
type eventReceivers struct {
	port     int
	arrived  atomic.Int64
	awaited  atomic.Int64
	complete chan struct{} // has room for one: as many have arrived as are awaited
}

func newEventReceivers(b *testing.B) *eventReceivers {
	r := &eventReceivers{complete: make(chan struct{}, 1)}
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		b.Fatal(err)
	}
	r.port = listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body) // what is cut off is sent again
		w.WriteHeader(http.StatusAccepted)
		if r.arrived.Add(1) == r.awaited.Load() {
			r.complete <- struct{}{}
		}
	})}
	go func() { _ = server.Serve(listener) }() // it ends with Close
	b.Cleanup(func() { _ = server.Close() })
	return r
}

// address is where a receiver of a form is.
func (r *eventReceivers) address(prefix string, number int) string {
	return fmt.Sprintf("http://127.1.%d.%d:%d/events", prefix[0]-'a', number+1, r.port)
}

// await has complete told when n more have arrived.
func (r *eventReceivers) await(n int) {
	r.awaited.Store(r.arrived.Load() + int64(n))
}

type eventBench struct {
	*testing.B
	as        *server
	floor     floorServer
	receivers *eventReceivers
	subjects  []string // the people, as the market knows them
	published int
}

// signUp has people sign up and come to the market.
func (b *eventBench) signUp(rp *site) {
	for i := range eventPeople {
		verifier := oauth2.GenerateVerifier()
		someone := newPerson(b)
		link := someone.open(b.as.Issuer + "/oauth2/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {"market-app.spa"}, "redirect_uri": {rp.URL + "/spa"},
			"scope": {"openid items.read"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
		}.Encode())
		address, err := link.url.Parse(attribute(link.element("signup-link"), "href"))
		if err != nil {
			b.Fatal(err)
		}
		someone.submit(someone.open(address.String()), "signup-form", url.Values{
			"name": {"Hanako"}, "email": {fmt.Sprintf("hanako-%d@example.test", i)}, "password": {password},
		}, "submit")
		answer, status := sendPublic(b, b.as.Issuer+"/oauth2/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {(<-rp.answers).Get("code")}, "client_id": {"market-app.spa"},
			"redirect_uri": {rp.URL + "/spa"}, "code_verifier": {verifier}, "resource": {marketAPI},
		})
		if status != http.StatusOK {
			b.Fatalf("%d %s %s", status, answer.Error, answer.Description)
		}
		claims, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.AccessToken, ".")[1])
		if err != nil {
			b.Fatal(err)
		}
		var known struct{ Sub string }
		if err := json.Unmarshal(claims, &known); err != nil {
			b.Fatal(err)
		}
		b.subjects = append(b.subjects, known.Sub)
	}
	answer := b.call("/subjects/convert", b.service("market.backend", paySecret, "subjects:convert"), map[string]any{
		"from": "market-app", "to": "market", "subjects": b.subjects,
	}, http.StatusOK)
	var converted struct{ Subjects []string }
	if err := json.Unmarshal(answer, &converted); err != nil {
		b.Fatal(err)
	}
	b.subjects = converted.Subjects
}

// service is a token of a client for the server itself.
func (b *eventBench) service(client, secret, scope string) string {
	return post(b, b.as.Issuer+"/oauth2/token", client, secret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}).AccessToken
}

// call posts JSON to the server and gives its answer.
func (b *eventBench) call(path, token string, body any, want int) []byte {
	b.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.as.Issuer+path, bytes.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		b.Fatalf("%s: %d %s %v", path, response.StatusCode, answer, err)
	}
	return answer
}

func (b *eventBench) subscribe() {
	for _, form := range eventForms {
		for i := range eventLanes {
			name := fmt.Sprintf("%s%d", form.prefix, i)
			b.call("/ssf/streams", b.service(name+".backend", cryptoSecret, "ssf.manage"), map[string]any{
				"delivery": map[string]any{"method": form.method, "endpoint_url": b.receivers.address(form.prefix, i)},
			}, http.StatusCreated)
		}
	}
}

// deliveries measures one form to one number of receivers.
func (b *eventBench) deliveries(form, prefix string, width int) {
	token := b.service("market.backend", paySecret, "events:publish")
	var paths, floors, ratios, rates []float64
	for round := range eventRounds + 1 {
		path, took := b.publish(token, fmt.Sprintf("%s.to%d", prefix, width), width)
		bare := b.bare(form, prefix, width)
		if round == 0 {
			continue // warm up
		}
		paths, floors, ratios, rates = append(paths, path), append(floors, bare), append(ratios, path/bare), append(rates, eventDeliveries/took.Seconds())
	}
	fmt.Printf("%-9s to %3d receivers %6.1f µs CPU per delivery, floor %6.1f, ratio %.2f (%.2f–%.2f), aim ≤ 2; %5.0f deliveries a second of CPU, %5.0f by the clock\n",
		form, width, median(paths), median(floors), median(ratios), slices.Min(ratios), slices.Max(ratios), 1e6/median(paths), median(rates))
}

// publish publishes events until all are delivered and noted, and gives the CPU
// time of one delivery in µs, and how long it took.
func (b *eventBench) publish(token, eventType string, width int) (cpu float64, took time.Duration) {
	b.receivers.await(eventDeliveries)
	before, began := cpuTime(b, b.as.cmd.Process.Pid), time.Now()
	for left := eventDeliveries / width; left > 0; {
		events := make([]map[string]any, min(left, eventsAtOnce))
		for i := range events {
			b.published++
			events[i] = map[string]any{
				"id": fmt.Sprintf("sale-%d", b.published), "type": eventType, "subject": b.subjects[b.published%len(b.subjects)],
				"data": map[string]any{"item": b.published, "price": 3200, "title": "Teapot"},
			}
		}
		b.call("/events", token, events, http.StatusAccepted)
		left -= len(events)
	}
	<-b.receivers.complete
	took = time.Since(began)
	time.Sleep(eventNoted)
	cpu = float64((cpuTime(b, b.as.cmd.Process.Pid) - before).Microseconds()) / eventDeliveries
	if b.pending() {
		b.Fatalf("the server has not written down what was delivered after %s", eventNoted)
	}
	return cpu, took
}

// pending reports whether the server has yet to write down that something was
// delivered. Asking costs the server as much as some deliveries.
func (b *eventBench) pending() bool {
	response, err := http.Get(b.as.Ops + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "sekisho_event_deliveries_pending{") && !strings.HasSuffix(line, " 0\n") {
			return true
		}
	}
	return false
}

// bare has the floor deliver as much, and gives the CPU time of one delivery in µs.
func (b *eventBench) bare(form, prefix string, width int) float64 {
	b.receivers.await(eventDeliveries)
	before := cpuTime(b, b.floor.pid)
	request := url.Values{"each": {fmt.Sprint(eventDeliveries / width)}, "form": {form}}
	for i := range width {
		request.Add("to", b.receivers.address(prefix, i))
	}
	address := b.floor.Issuer + "/deliver?" + request.Encode()
	if status := get(b, address); status != http.StatusOK {
		b.Fatalf("%s: %d", address, status)
	}
	<-b.receivers.complete
	return float64((cpuTime(b, b.floor.pid) - before).Microseconds()) / eventDeliveries
}

// credentials measures what the credentials of direct deliveries cost, asked for
// fifty at a time, beside as many signatures behind a bare handler.
func (b *eventBench) credentials() {
	details := make([]map[string]any, proofsAtOnce)
	for i := range details {
		details[i] = map[string]any{
			"type": "event", "receiver": fmt.Sprintf("b%d", i%eventLanes), "event_type": fmt.Sprintf("%s/events/b.to%d", marketAPI, eventLanes),
			"event_id": fmt.Sprintf("sale-%d", i), "body_sha256": strings.Repeat("A", 43),
		}
	}
	text, err := json.Marshal(details)
	if err != nil {
		b.Fatal(err)
	}
	form := url.Values{
		"grant_type": {exchangeURN}, "requested_token_type": {idTokenType}, "subject_token": {b.subjects[0]}, "subject_token_type": {detailsType},
		"authorization_details": {string(text)},
	}
	path := b.as.request("/oauth2/token", "market.backend", paySecret, form)
	bare := b.floor.request("/sign-many", "market.backend", paySecret, form)
	cost := costBench{B: b.B}
	one := func(pid int, request costRequest) float64 {
		before := cpuTime(b, pid)
		cost.load(request, proofRequests)
		return float64((cpuTime(b, pid) - before).Microseconds()) / (proofRequests / costWorkers * costWorkers * proofsAtOnce)
	}
	var paths, floors, ratios []float64
	for round := range eventRounds + 1 {
		spent, least := one(b.as.cmd.Process.Pid, path), one(b.floor.pid, bare)
		if round > 0 {
			paths, floors, ratios = append(paths, spent), append(floors, least), append(ratios, spent/least)
		}
	}
	fmt.Printf("%-26s %6.1f µs CPU per credential, floor %6.1f, ratio %.2f (%.2f–%.2f), aim ≤ 2; %5.0f a second of CPU\n",
		"credentials, 50 at a time", median(paths), median(floors), median(ratios), slices.Min(ratios), slices.Max(ratios), 1e6/median(paths))
}
