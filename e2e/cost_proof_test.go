package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/dpop"
)

// BenchmarkProof is what a proof of possession adds to a token request: beside the
// same request without one, and the one verification that a proof cannot do without,
// which is what the floor takes more for a verification and a signature than for a
// signature. The figure is of a client that is content with each proof once per
// replica, and of one whose proofs are taken once by all, which is one commit.
func BenchmarkProof(b *testing.B) {
	if testing.Short() {
		b.Skip("starts servers and loads them for a minute")
	}
	t := costBench{B: b}
	rp := newSite(b)
	group := strings.ReplaceAll(rp.group(), "backend: {", "backend: { rate: 100000,")
	lines := strings.SplitAfter(group, "\n")
	at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "/crypto\"]") })
	prover := strings.Replace(lines[at], "backend: {", "prover: { sender_constraint: dpop, assertions: once_per_replica,", 1)
	as := newServer(b, strings.Join(slices.Insert(lines, at, prover), ""))
	as.env = append(os.Environ(), "GOMAXPROCS=1", "SEKISHO_LOG_LEVEL=info")
	as.start(b)
	floor := startFloor(b)
	pin(b, as.cmd.Process.Pid, 0)
	pin(b, floor.pid, 0)
	pin(b, os.Getpid(), 1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	proofs, err := dpop.NewKey(key)
	if err != nil {
		b.Fatal(err)
	}
	prove := func(r *http.Request) error {
		proof, err := proofs.Proof(dpop.Request{Method: r.Method, URL: r.URL.String()}, "", time.Now())
		r.Header.Set("DPoP", proof)
		return err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"settle"}}
	plain := as.request("/oauth2/token", "crypto.backend", cryptoSecret, form)
	sign, verify := floor.request("/sign", "crypto.backend", cryptoSecret, form), floor.request("/verify-sign", "crypto.backend", cryptoSecret, form)
	for _, client := range []string{"crypto.prover", "crypto.backend"} {
		bound := as.request("/oauth2/token", client, cryptoSecret, form)
		bound.prove = prove
		var costs, ratios, without []float64
		for _, request := range []costRequest{plain, bound, sign, verify} {
			t.load(request, costRequests/2)
		}
		for range costRounds {
			p, d := t.cpuOf(as.cmd.Process.Pid, plain), t.cpuOf(as.cmd.Process.Pid, bound)
			verification := t.cpuOf(floor.pid, verify) - t.cpuOf(floor.pid, sign)
			costs, without, ratios = append(costs, d), append(without, p+verification), append(ratios, d/(p+verification))
		}
		fmt.Printf("%-15s %6.1f ms CPU per 1,000 with a proof; without, plus one verification %6.1f; ratio %.2f (%.2f–%.2f), aim ≤ 1.3\n",
			client, median(costs), median(without), median(ratios), slices.Min(ratios), slices.Max(ratios))
	}
}
