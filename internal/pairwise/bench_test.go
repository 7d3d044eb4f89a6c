package pairwise_test

import (
	"encoding/binary"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/pairwise"
)

func BenchmarkIssue(b *testing.B) {
	p := open(b, openDB(b), 1)
	who := account.Ref{Handle: account.Handle{1}, Gen: 1}
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		dst = p.AppendSubject(dst[:0], market, who)
	}
}

func BenchmarkDecode(b *testing.B) {
	p := open(b, openDB(b), 1)
	sub := p.Subject(market, account.Ref{Handle: account.Handle{1}, Gen: 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.ResolveOne(b.Context(), market, sub); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConvert turns a batch of 1,000 subjects into those of another sector.
func BenchmarkConvert(b *testing.B) {
	p := open(b, openDB(b), 1)
	subs := make([]string, 1000)
	for i := range subs {
		var h account.Handle
		binary.BigEndian.PutUint64(h[:], uint64(i))
		subs[i] = p.Subject(market, account.Ref{Handle: h, Gen: 1})
	}
	dst := make([]byte, 0, len(subs)*pairwise.SubjectSize)
	b.ReportAllocs()
	for b.Loop() {
		refs, err := p.Resolve(b.Context(), market, subs)
		if err != nil {
			b.Fatal(err)
		}
		dst = dst[:0]
		for _, who := range refs {
			dst = p.AppendSubject(dst, app, who)
		}
	}
	b.ReportMetric(float64(len(subs)*b.N)/b.Elapsed().Seconds(), "ids/s")
}
