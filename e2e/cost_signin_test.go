package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sekisho-id/sekisho/internal/passkeytest"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	signInsEach  = 100 // a round
	signInRounds = 5
)

// BenchmarkSignIn is what a sign-in costs the server, from the authorization request of a
// browser that it does not know to the code: with a password, of which the hash is the
// floor, and with a passkey. What is beside the hash should be under 5 ms of CPU.
func BenchmarkSignIn(b *testing.B) {
	if testing.Short() {
		b.Skip("starts a server and signs people in for a minute")
	}
	rp := newSite(b)
	as := newServer(b, rp.group())
	as.env = append(os.Environ(), "GOMAXPROCS=1", "SEKISHO_LOG_LEVEL=info")
	started := as.start(b)
	authorize := started.Issuer + "/oauth2/authorize?client_id=market-app.spa&response_type=code&scope=openid&code_challenge_method=S256&code_challenge=" +
		strings.Repeat("A", 43) + "&redirect_uri=" + url.QueryEscape(rp.URL+"/spa")
	owner := newPerson(b)
	owner.comply(owner.open(authorize))
	device := passkeytest.New(b, started.Issuer, "localhost")
	security := owner.open(started.Issuer + "/account/security")
	form := security.element("passkey-form")
	if form == nil {
		b.Fatalf("no passkey can be added: %s", security.text())
	}
	owner.submit(security, "passkey-form", url.Values{"passkey": {device.Create(attribute(form, "data-options"))}}, "")

	byPassword := func() {
		p := newPerson(b)
		p.signIn(p.open(authorize))
	}
	byPasskey := func() {
		p := newPerson(b)
		seen := p.open(authorize)
		device.Count++
		answer := device.Get(attribute(seen.element("passkey-form"), "data-options"))
		if back := p.submit(seen, "passkey-form", url.Values{"passkey": {answer}}, ""); !back.has("back") {
			b.Fatalf("the passkey did not sign in: %s", back.text())
		}
	}
	cost := func(what func()) float64 {
		before := cpuTime(b, as.cmd.Process.Pid)
		for range signInsEach {
			what()
		}
		return float64((cpuTime(b, as.cmd.Process.Pid) - before).Microseconds()) / 1000 / signInsEach
	}
	var passwords, passkeys, hashes, besides []float64
	for round := range signInRounds + 1 {
		p, k, h := cost(byPassword), cost(byPasskey), hashCost(b)
		if round > 0 { // the first warms up
			passwords, passkeys, hashes, besides = append(passwords, p), append(passkeys, k), append(hashes, h), append(besides, p-h)
		}
	}
	fmt.Printf("sign-in with a password %.1f ms CPU, of which its hash %.1f; beside it %.1f (%.1f–%.1f), aim ≤ 5; with a passkey %.1f (%.1f–%.1f)\n",
		median(passwords), median(hashes), median(besides), slices.Min(besides), slices.Max(besides), median(passkeys), slices.Min(passkeys), slices.Max(passkeys))
}

// hashCost is the CPU time in ms of one verification of a password, in this process.
func hashCost(b *testing.B) float64 {
	b.Helper()
	hasher := secret.NewHasher(secret.HasherConfig{AtOnce: 1})
	phc, err := hasher.Hash(context.Background(), password)
	if err != nil {
		b.Fatal(err)
	}
	const times = 30
	before := ownCPU(b)
	for range times {
		if ok, _, err := hasher.Verify(context.Background(), phc, password); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	return float64((ownCPU(b) - before).Microseconds()) / 1000 / times
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var clock unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &clock); err != nil {
		b.Fatal(err)
	}
	return time.Duration(clock.Nano())
}
