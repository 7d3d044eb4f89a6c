package e2e_test

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sys/unix"
)

// The cost of the paths between subsystems: CPU time of the server process per
// request, the server pinned to one core and the client to the other, beside
// the floor of each measured in the same run. The floor is a bare net/http
// handler that does only the cryptography the path cannot do without.
//
// Rounds of path and floor take turns, and the median of the ratios is
// reported, since CPU time, too, drifts with what else the machine does.
const (
	costRounds   = 9
	costRequests = 2000 // a round
	costWorkers  = 8
)

// floorVariable makes the test binary a floor server: see TestMain.
const floorVariable = "SEKISHO_FLOOR_LISTEN"

func BenchmarkCost(b *testing.B) {
	if testing.Short() {
		b.Skip("starts servers and loads them for a minute")
	}
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		b.Run(engine, func(b *testing.B) { costOn(b, engine) })
	}
}

func costOn(b *testing.B, engine string) {
	b.Helper()
	t := costBench{B: b}
	rp := newSite(b)
	as := newServer(b, strings.ReplaceAll(rp.group(), "backend: {", "backend: { rate: 100000,"))
	as.env = append(os.Environ(), "GOMAXPROCS=1", "SEKISHO_LOG_LEVEL=info")
	engines[engine](b, as)
	as.start(b)
	fmt.Println(engine)
	floor := startFloor(b)
	pin(b, as.cmd.Process.Pid, 0)
	pin(b, floor.pid, 0)
	pin(b, os.Getpid(), 1)

	user := userToken(b, as, rp)
	t.user = user
	exchange := url.Values{
		"grant_type": {exchangeGrant}, "subject_token": {user}, "subject_token_type": {accessTokenType},
		"resource": {marketAPI}, "scope": {"items.read"},
	}
	rows := []costRow{
		{
			"client credentials", as.request("/oauth2/token", "crypto.backend", cryptoSecret, url.Values{"grant_type": {"client_credentials"}, "scope": {"settle"}}),
			floor.request("/sign", "crypto.backend", cryptoSecret, url.Values{"grant_type": {"client_credentials"}, "scope": {"settle"}}), 1.3,
		},
		{"token exchange", as.request("/oauth2/token", "pay.backend", paySecret, exchange), floor.request("/verify-sign", "pay.backend", paySecret, exchange), 1.4},
		{
			"introspection", as.request("/oauth2/introspect", "pay.backend", paySecret, url.Values{"token": {user}}),
			floor.request("/verify", "pay.backend", paySecret, url.Values{"token": {user}}), 1.3,
		},
		{"JWKS", as.get("/oauth2/jwks"), floor.get("/static"), 1.3},
		{"discovery", as.get("/.well-known/openid-configuration"), floor.get("/static"), 1.3},
	}
	for _, row := range rows {
		t.measure(as.cmd.Process.Pid, floor.pid, row)
	}
	t.conversion(as)
	t.memory(as, rows)
	t.firstToken(as)
}

// conversion is how many subjects a core converts a second in batches of 1,000.
func (b costBench) conversion(as *server) {
	token := post(b, as.Issuer+"/oauth2/token", "pay.backend", paySecret, url.Values{
		"grant_type": {"client_credentials"}, "scope": {"subjects:convert"},
	}).AccessToken
	subject := post(b, as.Issuer+"/oauth2/introspect", "pay.backend", paySecret, url.Values{"token": {b.user}}).Subject
	subjects := make([]string, 1000)
	for i := range subjects {
		subjects[i] = subject
	}
	body, err := json.Marshal(map[string]any{"from": "market-app", "to": "pay", "subjects": subjects})
	if err != nil {
		b.Fatal(err)
	}
	request := costRequest{method: http.MethodPost, url: as.Issuer + "/subjects/convert", bearer: token, body: string(body)}
	const batches = 80 // within the day's budget of the asker
	b.load(request, costWorkers)
	before := cpuTime(b, as.cmd.Process.Pid)
	b.load(request, batches)
	spent := cpuTime(b, as.cmd.Process.Pid) - before
	fmt.Printf("%-20s %.0f ids a second and core in batches of 1,000, aim ≥ 300,000\n", "conversion", batches*1000/spent.Seconds())
}

// memory is what is resident after a minute of the paths in turns.
func (b costBench) memory(as *server, rows []costRow) {
	for began := time.Now(); time.Since(began) < time.Minute; {
		for _, row := range rows {
			b.load(row.path, costRequests/4)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", as.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == "VmRSS" {
			kilobytes, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				b.Fatal(err)
			}
			fmt.Printf("%-20s %.1f MiB resident after a minute of load, aim ≤ 60\n", "memory", float64(kilobytes)/1024)
		}
	}
}

// firstToken is the time from starting the process on a database it knows to
// the first token.
func (b costBench) firstToken(as *server) {
	as.stop(b)
	var times []float64
	for range 5 {
		began := time.Now()
		as.start(b)
		if err := as.request("/oauth2/token", "crypto.backend", cryptoSecret, url.Values{"grant_type": {"client_credentials"}, "scope": {"settle"}}).send(http.DefaultClient); err != nil {
			b.Fatal(err)
		}
		times = append(times, float64(time.Since(began).Milliseconds()))
		as.stop(b)
	}
	fmt.Printf("%-20s %.0f ms from start to first token, aim ≤ 300\n", "start", median(times))
}

// costRow is one path beside its floor.
type costRow struct {
	name        string
	path, floor costRequest
	target      float64
}

// costRequest is one request, made again and again.
type costRequest struct {
	method, url, id, secret, body string
	bearer                        string                    // instead of id and secret
	prove                         func(*http.Request) error // adds a proof of possession to each
}

func (s *server) request(path, id, secret string, form url.Values) costRequest {
	return costRequest{method: http.MethodPost, url: s.Issuer + path, id: id, secret: secret, body: form.Encode()}
}

func (s *server) get(path string) costRequest {
	return costRequest{method: http.MethodGet, url: s.Issuer + path}
}

type costBench struct {
	*testing.B
	user string // a person's token for pay
}

func (b costBench) measure(server, floor int, row costRow) {
	var paths, floors, ratios []float64
	b.load(row.path, costRequests/2) // warm up
	b.load(row.floor, costRequests/2)
	for range costRounds {
		path := b.cpuOf(server, row.path)
		bare := b.cpuOf(floor, row.floor)
		paths, floors, ratios = append(paths, path), append(floors, bare), append(ratios, path/bare)
	}
	fmt.Printf("%-20s %6.1f ms CPU per 1,000 requests, floor %6.1f, ratio %.2f (%.2f–%.2f), aim ≤ %.1f\n",
		row.name, median(paths), median(floors), median(ratios), slices.Min(ratios), slices.Max(ratios), row.target)
}

func median(values []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare)
	return sorted[len(sorted)/2]
}

// cpuOf is the CPU time in ms that a process spends on 1,000 such requests.
func (b costBench) cpuOf(pid int, request costRequest) float64 {
	before := cpuTime(b, pid)
	b.load(request, costRequests)
	return float64((cpuTime(b, pid) - before).Microseconds()) / costRequests
}

// load sends n requests over a few connections; each must be answered 200.
func (b costBench) load(request costRequest, n int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: costWorkers, MaxConnsPerHost: costWorkers}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range costWorkers {
		group.Go(func() {
			for range n / costWorkers {
				if err := request.send(client); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

func (c costRequest) send(client *http.Client) error {
	request, err := http.NewRequest(c.method, c.url, strings.NewReader(c.body))
	if err != nil {
		return err
	}
	switch {
	case c.bearer != "":
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	case c.method == http.MethodPost:
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth(c.id, c.secret)
	}
	if c.prove != nil {
		if err := c.prove(request); err != nil {
			return err
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %s %w", c.url, response.StatusCode, body, err)
	}
	return nil
}

// cpuTime is the CPU time a process has used, user and system.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	var clock unix.Timespec
	// The CPU clock of another process (clock_getcpuclockid(3)).
	if err := unix.ClockGettime(int32(^pid<<3|2), &clock); err != nil {
		t.Fatal(err)
	}
	return time.Duration(clock.Nano())
}

// pin keeps all threads of a process on one core.
func pin(t testing.TB, pid, core int) {
	t.Helper()
	var set unix.CPUSet
	set.Set(core)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Skip("this benchmark pins processes to cores, as Linux can")
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != syscall.ESRCH {
			t.Fatal(err)
		}
	}
}

// userToken signs a person in at the app and gives the token for pay.
func userToken(t testing.TB, as *server, rp *site) string {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	someone := newPerson(t)
	someone.signUp(someone.open(as.Issuer + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"market-app.spa"}, "redirect_uri": {rp.URL + "/spa"},
		"scope": {"openid charge"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()))
	answer, status := sendPublic(t, as.Issuer+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {(<-rp.answers).Get("code")}, "client_id": {"market-app.spa"},
		"redirect_uri": {rp.URL + "/spa"}, "code_verifier": {verifier}, "resource": {payAPI},
	})
	if status != http.StatusOK {
		t.Fatalf("%d %s %s", status, answer.Error, answer.Description)
	}
	return answer.AccessToken
}

// floorServer is a bare net/http server in a process of its own.
type floorServer struct {
	*server
	pid int
}

func startFloor(t testing.TB) floorServer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	command := exec.CommandContext(t.Context(), self)
	command.Env = append(os.Environ(), "GOMAXPROCS=1", floorVariable+"="+address)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says when it listens
		t.Fatal(err)
	}
	return floorServer{&server{Issuer: "http://" + address}, command.Process.Pid}
}

// serveFloor is the floor server's main function.
func serveFloor(address string) int {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 1
	}
	f := &floor{key: key, secrets: [][]byte{sum(appSecret), sum(paySecret), sum(cryptoSecret)}}
	f.token = f.sign()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign", func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, false, true) })
	mux.HandleFunc("GET /deliver", f.deliver)
	mux.HandleFunc("POST /sign-many", f.signMany)
	mux.HandleFunc("POST /verify", func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, true, false) })
	mux.HandleFunc("POST /verify-sign", func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, true, true) })
	static := bytes.Repeat([]byte("x"), 2<<10)
	mux.HandleFunc("GET /static", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=600")
		_, _ = w.Write(static)
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return 1
	}
	fmt.Println("listening")
	_ = http.Serve(listener, mux)
	return 0
}

// floor does what no implementation can leave out: parse the form, compare one
// secret hash, verify or sign with ES256, write JSON.
type floor struct {
	key     *ecdsa.PrivateKey
	secrets [][]byte
	token   string
}

func sum(secret string) []byte {
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

const floorHeader = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjAxMjM0NTY3ODlhYmNkZWYifQ"

func (f *floor) sign() string {
	claims, _ := json.Marshal(map[string]any{
		"iss": "http://localhost:8080", "sub": "d462sylrivz72j6xrhzrdhuqsy", "aud": "https://api.market.test",
		"exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "client_id": "pay.backend", "scope": "settle",
	})
	input := floorHeader + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, digest[:])
	if err != nil {
		panic(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}

func (f *floor) verify(token string) bool {
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(&f.key.PublicKey, digest[:], r, s)
}

func (f *floor) answer(w http.ResponseWriter, r *http.Request, verify, sign bool) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "form", http.StatusBadRequest)
		return
	}
	_, secret, _ := r.BasicAuth()
	given, known := sum(secret), false
	for _, hash := range f.secrets {
		known = known || subtle.ConstantTimeCompare(given, hash) == 1
	}
	if !known || verify && !f.verify(f.token) {
		http.Error(w, "refused", http.StatusUnauthorized)
		return
	}
	body := map[string]any{"active": true, "sub": "d462sylrivz72j6xrhzrdhuqsy", "client_id": "pay.backend", "scope": "settle"}
	if sign {
		body = map[string]any{"access_token": f.sign(), "token_type": "Bearer", "expires_in": 600, "scope": "settle"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(body)
}
