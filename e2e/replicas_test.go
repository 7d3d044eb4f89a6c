package e2e_test

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// replicas are two servers on one PostgreSQL, with nothing between them and the
// clients. The issuer is the first one.
type replicas struct {
	both   [2]*server
	rp     *site
	client *http.Client
}

// newReplicas starts both at once on an empty database.
func newReplicas(t *testing.T) *replicas {
	t.Helper()
	return replicasOf(t, "", func(group string) string { return group })
}

// replicasOf is newReplicas with another issuer, unless that is empty, a group file
// that is changed, and further flags.
func replicasOf(t *testing.T, issuer string, change func(group string) string, flags ...string) *replicas {
	t.Helper()
	database := postgrestest.New(t, "log_min_messages=fatal")
	database.Exec(t, "CREATE DATABASE sekisho")
	dir := t.TempDir()
	env := os.Environ()
	for variable, secret := range map[string]string{"SEKISHO_PPID_SECRET_FILE": "ppid-secret", "SEKISHO_KEY_ENCRYPTION_KEY_FILE": "key-encryption-key"} {
		text, code := sekisho(t, "", "generate", secret)
		if code != 0 {
			t.Fatal(text)
		}
		env = append(env, variable+"="+write(t, dir, secret, text))
	}
	env = append(env, "SEKISHO_DATABASE_FILE="+write(t, dir, "database", database.URL("sekisho")))

	r := &replicas{rp: newSite(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(r.client.CloseIdleConnections)
	listen := [2]string{freeAddress(t), freeAddress(t)}
	issuer = cmp.Or(issuer, "http://"+listen[0])
	file := write(t, dir, "group.yaml", strings.NewReplacer("$ISSUER", issuer, "spa: {", "spa: { rate: 100000,").Replace(change(r.rp.group())))
	for i := range r.both {
		ops := freeAddress(t)
		r.both[i] = &server{
			Issuer: "http://" + listen[i], Ops: "http://" + ops, Dir: dir, File: file, env: env,
			args: append([]string{"serve", "--group", file, "--listen", listen[i], "--ops-listen", ops}, flags...),
		}
		if err := r.both[i].launch(t); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range r.both {
		select {
		case <-one.log.serving:
		case <-one.log.ended:
			t.Fatalf("a replica ended before it served:\n%s", one.log)
		}
	}
	return r
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// post sends a form to one of them.
func (r *replicas) post(to int, path string, form url.Values) (answer tokenAnswer, status int, err error) {
	response, err := r.client.PostForm(r.both[to].Issuer+path, form)
	if err != nil {
		return answer, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, 0, err
	}
	return answer, response.StatusCode, json.Unmarshal(text, &answer)
}

// mustPost is post with an answer of 200.
func (r *replicas) mustPost(t *testing.T, to int, form url.Values) tokenAnswer {
	t.Helper()
	answer, status, err := r.post(to, "/oauth2/token", form)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s at %d: %d %+v %v", form.Get("grant_type"), to, status, answer, err)
	}
	return answer
}

// authorize gives a code of the public client, as a form to redeem it with.
func (r *replicas) authorize(t *testing.T, someone *person) url.Values {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	someone.comply(someone.open(r.both[0].Issuer + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"market-app.spa"}, "redirect_uri": {r.rp.URL + "/spa"},
		"scope": {"openid items.read"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()))
	code := (<-r.rp.answers).Get("code")
	if code == "" {
		t.Fatal("no code came back")
	}
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"market-app.spa"},
		"redirect_uri": {r.rp.URL + "/spa"}, "code_verifier": {verifier}, "resource": {marketAPI},
	}
}

func renewal(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"market-app.spa"}, "resource": {marketAPI}}
}

// race sends each form eight times at once, to both, and gives the answers that
// were good. All others must be refusals.
func (r *replicas) race(t *testing.T, forms []url.Values) (good [][]tokenAnswer) {
	t.Helper()
	const times, together = 8, 4
	good = make([][]tokenAnswer, len(forms))
	var mu sync.Mutex
	for first := 0; first < len(forms); first += together {
		var all sync.WaitGroup
		for i := first; i < min(first+together, len(forms)); i++ {
			for n := range times {
				all.Go(func() {
					answer, status, err := r.post(n%2, "/oauth2/token", forms[i])
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil && status == http.StatusOK:
						good[i] = append(good[i], answer)
					case err != nil || status != http.StatusBadRequest || answer.Error != "invalid_grant":
						t.Errorf("%d %+v %v", status, answer, err)
					}
				})
			}
		}
		all.Wait()
	}
	return good
}

// TestReplicasRace is F2, small: what may be had once is had once, whichever of
// them is asked, and nobody is told of a failure.
func TestReplicasRace(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const many = 200
	r, someone := newReplicas(t), newPerson(t)
	codes, refreshes := make([]url.Values, many), make([]url.Values, many)
	for i := range many {
		codes[i] = r.authorize(t, someone)
		refreshes[i] = renewal(r.mustPost(t, 1, r.authorize(t, someone)).RefreshToken)
	}
	began := time.Now()
	for i, answers := range r.race(t, codes) {
		if len(answers) != 1 {
			t.Errorf("code %d was redeemed %d times", i, len(answers))
		}
	}
	t.Logf("%d codes, each 8 times: %s", many, time.Since(began))
	began = time.Now()
	turned := 0
	for i, answers := range r.race(t, refreshes) {
		successors := map[string]bool{}
		for _, answer := range answers {
			successors[answer.RefreshToken] = true
		}
		if len(successors) != 1 {
			t.Errorf("refresh token %d has %d successors in %d answers", i, len(successors), len(answers))
		}
		turned += len(answers)
		for successor := range successors { // eight uses are a theft: it ends them all
			if _, status, err := r.post(i%2, "/oauth2/token", renewal(successor)); err != nil || status != http.StatusBadRequest {
				t.Errorf("the successor of a token that was used eight times: %d %v", status, err)
			}
		}
	}
	t.Logf("%d refresh tokens, each 8 times: %s, %d answers with a token", many, time.Since(began), turned)
}

// TestReplicasAgree: what one of them is told, the other knows.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	r, someone := newReplicas(t), newPerson(t)
	tokens := r.mustPost(t, 1, r.authorize(t, someone)) // the code is of the first
	for i := range r.both {
		if got := r.introspect(t, i, tokens.AccessToken); got.Scope != "items.read" {
			t.Fatalf("replica %d does not know the token: %+v", i, got)
		}
	}
	second := r.mustPost(t, 0, renewal(tokens.RefreshToken))
	third := r.mustPost(t, 1, renewal(second.RefreshToken))

	// Signed out at the first.
	someone.comply(someone.open(r.both[0].Issuer + "/oauth2/logout"))
	began := time.Now()
	r.until(t, "the token is dead at the second", func() bool { return r.introspect(t, 1, third.AccessToken).Scope == "" })
	t.Logf("a sign-out at the one is seen by the other after %s", time.Since(began))
	if answer, status, err := r.post(1, "/oauth2/token", renewal(third.RefreshToken)); err != nil || status != http.StatusBadRequest || answer.Error != "invalid_grant" {
		t.Errorf("a refresh token after sign-out: %d %+v %v", status, answer, err)
	}

	// A new client is known to both.
	group, err := os.ReadFile(r.both[0].File)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(group), "  shops:\n", "  batch:\n    scenario: service\n    clients:\n      night: { secret_sha256: ["+hash(cryptoSecret)+"] }\n  shops:\n")
	changed = strings.ReplaceAll(changed, "calls:\n", "calls:\n  - { from: batch, to: market, service: [settle] }\n")
	r.apply(t, write(t, r.both[0].Dir, "changed.yaml", changed))
	began = time.Now()
	for i := range r.both {
		r.until(t, "a replica knows the new client", func() bool {
			_, status := send(t, t.Context(), r.both[i].Issuer+"/oauth2/token", "batch.night", cryptoSecret, url.Values{
				"grant_type": {"client_credentials"}, "resource": {marketAPI}, "scope": {"settle"},
			})
			return status == http.StatusOK
		})
	}
	t.Logf("a new client is known to both %s after it was applied", time.Since(began))

	for _, one := range r.both {
		if status := get(t, one.Ops+"/readyz"); status != http.StatusOK {
			t.Errorf("readiness: %d", status)
		}
		text := r.metrics(t, one)
		for _, name := range []string{
			`sekisho_db_connections_open{pool="writers"}`, `sekisho_db_connections_max{pool="readers"} 16`, "sekisho_db_waits_total",
			"sekisho_db_timeline 1", "sekisho_db_clock_skew_seconds", "sekisho_db_old_primary_refused_total 0",
		} {
			if !strings.Contains(text, name) {
				t.Errorf("metrics have no %s", name)
			}
		}
	}
}

func (r *replicas) introspect(t *testing.T, at int, token string) tokenAnswer {
	t.Helper()
	answer, status := send(t, t.Context(), r.both[at].Issuer+"/oauth2/introspect", "market.backend", paySecret, url.Values{"token": {token}})
	if status != http.StatusOK {
		t.Fatalf("introspection at %d: %d %+v", at, status, answer)
	}
	return answer
}

func (r *replicas) metrics(t *testing.T, of *server) string {
	t.Helper()
	response, err := r.client.Get(of.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// apply makes a group file the group, as an operator does beside both.
func (r *replicas) apply(t *testing.T, file string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, "apply", file)
	command.Env = r.both[0].env
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("apply: %v\n%s", err, out)
	}
}

func (r *replicas) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("in vain: " + what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
