package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// engines are the two databases, each with a server on it that is not started yet.
var engines = map[string]func(b *testing.B, as *server){
	"SQLite":     func(*testing.B, *server) {},
	"PostgreSQL": func(b *testing.B, as *server) { as.onPostgres(b) },
}

// onPostgres has the server use a PostgreSQL that is started for it, on the core of
// the client, and that confirms what it has written.
func (s *server) onPostgres(b testing.TB) {
	b.Helper()
	database := postgrestest.New(b, "synchronous_commit=on", "fsync=on", "log_min_messages=fatal")
	database.Exec(b, "CREATE DATABASE sekisho")
	for i, arg := range s.args {
		if arg == "--database" {
			s.args[i+1] = database.URL("sekisho")
		}
	}
	if s.env == nil {
		s.env = os.Environ()
	}
	for variable, kind := range map[string]string{"SEKISHO_PPID_SECRET_FILE": "ppid-secret", "SEKISHO_KEY_ENCRYPTION_KEY_FILE": "key-encryption-key"} {
		text, code := sekisho(b, "", "generate", kind)
		if code != 0 {
			b.Fatal(text)
		}
		s.env = append(s.env, variable+"="+write(b, s.Dir, kind, text))
	}
}

// BenchmarkDurable is the cost of what must be written down: refreshes, and code
// flows of a person with a session.
func BenchmarkDurable(b *testing.B) {
	if testing.Short() {
		b.Skip("starts servers and loads them for a minute")
	}
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		b.Run(engine, func(b *testing.B) {
			rp := newSite(b)
			as := newServer(b, strings.NewReplacer("spa: {", "spa: { rate: 100000,", "backend: {", "backend: { rate: 100000,").Replace(rp.group()))
			as.env = append(os.Environ(), "GOMAXPROCS=1", "SEKISHO_LOG_LEVEL=info")
			engines[engine](b, as)
			as.start(b)
			pin(b, as.cmd.Process.Pid, 0)
			pin(b, os.Getpid(), 1)
			d := &durableBench{costBench: costBench{B: b}, as: as, rp: rp}
			for i := range manyFamilies {
				d.someone = newPerson(b)
				d.someone.email = fmt.Sprintf("person-%d@example.test", i)
				d.families = append(d.families, d.redeem(d.authorize()))
			}
			d.refreshes(engine)
			d.codeFlows(engine)
			d.halfLoad(engine, "refresh")
			d.halfLoad(engine, "token exchange")
		})
	}
}

const manyFamilies = 32

type durableBench struct {
	costBench
	as       *server
	rp       *site
	someone  *person
	families []tokenAnswer
}

// authorize gives a code of the public client, as a form to redeem it with. It asks
// for no ID token: an RSA signature is most of what one costs.
func (d *durableBench) authorize() url.Values {
	d.Helper()
	verifier := oauth2.GenerateVerifier()
	d.someone.comply(d.someone.open(d.as.Issuer + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"market-app.spa"}, "redirect_uri": {d.rp.URL + "/spa"},
		"scope": {"charge"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()))
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {(<-d.rp.answers).Get("code")}, "client_id": {"market-app.spa"},
		"redirect_uri": {d.rp.URL + "/spa"}, "code_verifier": {verifier}, "resource": {payAPI},
	}
}

func (d *durableBench) redeem(form url.Values) tokenAnswer {
	d.Helper()
	answer, status := sendPublic(d, d.as.Issuer+"/oauth2/token", form)
	if status != http.StatusOK {
		d.Fatalf("%d %s %s", status, answer.Error, answer.Description)
	}
	return answer
}

// refresh turns the newest token of a family into the next.
func (d *durableBench) refresh(family int) {
	d.families[family] = d.redeem(url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {d.families[family].RefreshToken}, "client_id": {"market-app.spa"}, "resource": {payAPI},
	})
}

// refreshes are measured with one family at a time, and with all at once.
func (d *durableBench) refreshes(engine string) {
	const each = 60
	rate := func(workers, each int) (perSecond float64, cpu time.Duration) {
		began, before := time.Now(), cpuTime(d, d.as.cmd.Process.Pid)
		var group sync.WaitGroup
		for family := range workers {
			group.Go(func() {
				for range each {
					d.refresh(family)
				}
			})
		}
		group.Wait()
		spent := cpuTime(d, d.as.cmd.Process.Pid) - before
		return float64(workers*each) / time.Since(began).Seconds(), spent / time.Duration(workers*each)
	}
	rate(manyFamilies, 4) // warm up
	var alone, together, cpuAlone, cpuTogether []float64
	for range 5 {
		one, cpuOne := rate(1, 4*each)
		all, cpuAll := rate(manyFamilies, each)
		alone, together = append(alone, one), append(together, all)
		cpuAlone, cpuTogether = append(cpuAlone, cpuOne.Seconds()*1000), append(cpuTogether, cpuAll.Seconds()*1000)
	}
	fmt.Printf("%-10s refresh: %.2f ms of server CPU alone, %.2f with %d at once (aim ≤ 0.3); %.0f/s alone, %.0f/s with %d at once: %.1f×\n",
		engine, median(cpuAlone), median(cpuTogether), manyFamilies, median(alone), median(together), manyFamilies, median(together)/median(alone))
}

// codeFlows are measured from the link of the app to its tokens.
func (d *durableBench) codeFlows(engine string) {
	const flows = 100
	before := cpuTime(d, d.as.cmd.Process.Pid)
	for range flows {
		d.redeem(d.authorize())
	}
	spent := cpuTime(d, d.as.cmd.Process.Pid) - before
	fmt.Printf("%-10s code flow of a person with a session: %.2f ms of server CPU\n", engine, spent.Seconds()*1000/flows)
}

// halfLoad sends requests at half the rate that eight workers reach, and tells how
// long each takes from the moment when it was due.
func (d *durableBench) halfLoad(engine, path string) {
	exchange := d.as.request("/oauth2/token", "pay.backend", paySecret, url.Values{
		"grant_type": {exchangeGrant}, "subject_token": {d.families[0].AccessToken}, "subject_token_type": {accessTokenType},
		"resource": {marketAPI}, "scope": {"items.read"},
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: manyFamilies}}
	defer client.CloseIdleConnections()
	request := map[string]func(int){
		"refresh": d.refresh,
		"token exchange": func(int) {
			if err := exchange.send(client); err != nil {
				d.Error(err)
			}
		},
	}[path]
	const most = 1600
	began := time.Now()
	var group sync.WaitGroup
	for worker := range costWorkers {
		group.Go(func() {
			for range most / costWorkers {
				request(worker)
			}
		})
	}
	group.Wait()
	peak := most / time.Since(began).Seconds()

	// A single pause must not be one in a hundred of all.
	paced := int(peak / 2 * (3 * time.Second).Seconds())
	gap := time.Duration(float64(time.Second) / (peak / 2))
	took := make([]float64, paced)
	turns := make(chan int, paced)
	began = time.Now()
	for worker := range manyFamilies {
		group.Go(func() {
			for turn := range turns {
				request(worker)
				took[turn] = time.Since(began.Add(time.Duration(turn)*gap)).Seconds() * 1000
			}
		})
	}
	for turn := range paced {
		time.Sleep(time.Until(began.Add(time.Duration(turn) * gap)))
		turns <- turn
	}
	close(turns)
	group.Wait()
	slices.Sort(took)
	fmt.Printf("%-10s %s at half load (%.0f/s of %.0f): median %.1f ms, p99 %.1f ms, aim < 10\n", engine, path, peak/2, peak, took[paced/2], took[paced*99/100])
}

// BenchmarkTwoProcesses is what a request costs when one process serves, and when
// two do on one PostgreSQL. Two cores cannot show twice the rate beside a client;
// that none costs more says that nothing is shared but the database, which the
// paths between subsystems do not ask.
func BenchmarkTwoProcesses(b *testing.B) {
	if testing.Short() {
		b.Skip("starts servers and loads them for a minute")
	}
	rp := newSite(b)
	first := newServer(b, strings.NewReplacer("spa: {", "spa: { rate: 100000,", "backend: {", "backend: { rate: 100000,").Replace(rp.group()))
	first.onPostgres(b)
	first.start(b)
	second := *first
	listen, ops := freeAddress(b), freeAddress(b)
	second.args = slices.Clone(first.args)
	for i, arg := range second.args {
		switch arg {
		case "--listen":
			second.args[i+1] = listen
		case "--ops-listen":
			second.args[i+1] = ops
		}
	}
	second.start(b)
	t := costBench{B: b}
	user := userToken(b, first, rp)
	form := url.Values{
		"grant_type": {exchangeGrant}, "subject_token": {user}, "subject_token_type": {accessTokenType},
		"resource": {marketAPI}, "scope": {"items.read"},
	}
	at := func(listen string) costRequest {
		r := first.request("/oauth2/token", "pay.backend", paySecret, form)
		r.url = "http://" + listen + "/oauth2/token"
		return r
	}
	both := []costRequest{at(strings.TrimPrefix(first.Issuer, "http://")), at(listen)}
	pids := []int{first.cmd.Process.Pid, second.cmd.Process.Pid}
	for _, r := range both {
		t.load(r, costRequests)
	}
	var alone, together, ratios []float64
	for range costRounds {
		one := t.cpuOf(pids[0], both[0])
		before := cpuTime(b, pids[0]) + cpuTime(b, pids[1])
		var group sync.WaitGroup
		for _, r := range both {
			group.Go(func() { t.load(r, costRequests) })
		}
		group.Wait()
		two := float64((cpuTime(b, pids[0]) + cpuTime(b, pids[1]) - before).Microseconds()) / (2 * costRequests)
		alone, together, ratios = append(alone, one), append(together, two), append(ratios, two/one)
	}
	fmt.Printf("token exchange by one process %.1f ms CPU per 1,000, by two at once %.1f, ratio %.2f (%.2f–%.2f)\n",
		median(alone), median(together), median(ratios), slices.Min(ratios), slices.Max(ratios))
}
