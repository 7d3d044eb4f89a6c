package pairwise_test

import (
	"encoding/base32"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
)

var standard = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func drawHandle(t *rapid.T, label string) (h account.Handle) {
	copy(h[:], rapid.SliceOfN(rapid.Byte(), len(h), len(h)).Draw(t, label))
	return h
}

func TestEverySubjectComesBack(t *testing.T) {
	t.Parallel()
	p := open(t, openDB(t), 1)
	rapid.Check(t, func(rt *rapid.T) {
		sector := registry.Sector{ID: rapid.StringN(1, 20, 60).Draw(rt, "sector"), Gen: 1}
		other := registry.Sector{ID: rapid.StringN(1, 20, 60).Filter(func(s string) bool { return s != sector.ID }).Draw(rt, "other"), Gen: 1}
		who := account.Ref{Handle: drawHandle(rt, "handle"), Gen: 1}
		sub := p.Subject(sector, who)
		if len(sub) != pairwise.SubjectSize || strings.Trim(sub, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			rt.Fatalf("subject %q", sub)
		}
		if got := resolve(t, p, sector, sub); got[0] != who {
			rt.Fatalf("%s is nobody", sub)
		}
		if got := resolve(t, p, other, sub); !got[0].Nobody() {
			rt.Fatalf("%s is somebody in another sector", sub)
		}
		if p.Subject(other, who) == sub {
			rt.Fatal("two sectors have the same subject")
		}
		if whole := string(p.AppendSubject([]byte("before "), sector, who)); whole != "before "+sub {
			rt.Fatalf("appended: %q", whole)
		}
	})
}

func TestNoTwoPeopleShareASubject(t *testing.T) {
	t.Parallel()
	p := open(t, openDB(t), 1)
	rapid.Check(t, func(rt *rapid.T) {
		handles := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) account.Handle { return drawHandle(t, "handle") }), 2, 200, rapid.ID).Draw(rt, "handles")
		seen := map[string]bool{}
		for _, h := range handles {
			seen[p.Subject(market, account.Ref{Handle: h, Gen: 1})] = true
		}
		if len(seen) != len(handles) {
			rt.Fatalf("%d people have %d subjects", len(handles), len(seen))
		}
	})
}

// A lenient decoder takes four spellings of the last character for one block, and
// any case.
func TestOneSpellingOnly(t *testing.T) {
	t.Parallel()
	p := open(t, openDB(t), 1)
	rapid.Check(t, func(rt *rapid.T) {
		who := account.Ref{Handle: drawHandle(rt, "handle"), Gen: 1}
		sub := p.Subject(market, who)
		want, err := standard.DecodeString(sub)
		if err != nil {
			rt.Fatal(err)
		}
		spellings := 0
		for _, last := range "abcdefghijklmnopqrstuvwxyz234567" {
			other := sub[:25] + string(last)
			if got, err := standard.DecodeString(other); err != nil || string(got) != string(want) {
				continue
			}
			spellings++
			if got := resolve(t, p, market, other); got[0].Nobody() != (other != sub) {
				rt.Fatalf("spelling %s of %s", other, sub)
			}
		}
		if spellings != 4 {
			rt.Fatalf("%d spellings", spellings)
		}
		i := rapid.IntRange(0, 25).Draw(rt, "upper")
		upper := sub[:i] + strings.ToUpper(sub[i:i+1]) + sub[i+1:]
		if got := resolve(t, p, market, upper); got[0].Nobody() != (upper != sub) {
			rt.Fatalf("spelling %s of %s", upper, sub)
		}
	})
}

// Our base32 is the standard one, less its leniency.
func TestBase32IsTheStandardOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		block := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "block"))
		text := string(pairwise.AppendBlock(nil, &block))
		if want := standard.EncodeToString(block[:]); text != want {
			rt.Fatalf("%s, not %s", text, want)
		}
		var back [16]byte
		if !pairwise.ParseBlock(&back, text) || back != block {
			rt.Fatalf("%x came back as %x", block, back)
		}
	})
}

func FuzzResolve(f *testing.F) {
	p := open(f, openDB(f), 1)
	f.Add(p.Subject(market, account.Ref{Handle: account.Handle{1}, Gen: 1}))
	f.Add("")
	f.Add(strings.Repeat("a", 26))
	f.Add(strings.Repeat("7", 26))
	f.Add("d462sylrivz72j6xrhzrdhuqsz")
	f.Fuzz(func(t *testing.T, sub string) {
		refs := resolve(t, p, market, sub)
		if !refs[0].Nobody() && p.Subject(market, refs[0]) != sub {
			t.Errorf("%q names somebody whose subject is another", sub)
		}
		var block [16]byte
		if pairwise.ParseBlock(&block, sub) && standard.EncodeToString(block[:]) != sub {
			t.Errorf("%q is not canonical and was taken", sub)
		}
		if session, ok := p.OpenSessionID(market, sub, now()); ok && p.SessionID(market, session) != sub {
			t.Errorf("session id %q is not canonical and was taken", sub)
		}
	})
}
