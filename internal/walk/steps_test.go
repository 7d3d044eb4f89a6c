package walk_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
)

// walk is one story: the server, the model, and the names that both have for
// the same things.
type walk struct {
	server   *server
	model    *model
	rand     *rand.Rand // of the present step
	people   []*person
	browsers []*browser
	windows  map[*browser]*window
	forms    map[*page]view
	codes    []*code
	texts    map[*code]string
	families []*family
	tokens   []*access
	bearer   map[*access]string
	hints    []hint
	seen     map[string]*person // by sector and subject
}

// hint is an ID token.
type hint struct {
	text string
	of   *given
	made time.Time
}

// told is what became of a step.
type told struct {
	what      string // in words
	want, got string
}

// step is one thing that can happen. It is drawn by weight, and draws what it
// is about from w.rand. A nil answer means that there is nothing to do it with.
type step struct {
	name   string
	weight int
	take   func(*walk, context.Context) *told
}

var steps = []step{
	{"begin", 14, (*walk).begin},
	{"answer", 24, (*walk).answer},
	{"reload", 2, (*walk).reload},
	{"redeem", 18, (*walk).redeem},
	{"refresh", 22, (*walk).refresh},
	{"exchange", 20, (*walk).exchange},
	{"serve", 2, (*walk).service},
	{"introspect", 12, (*walk).introspect},
	{"userinfo", 6, (*walk).userinfo},
	{"revoke", 4, (*walk).revoke},
	{"sign out", 2, (*walk).signOut},
	{"withdraw", 2, (*walk).withdraw},
	{"disable", 1, (*walk).disable},
	{"enable", 1, (*walk).enable},
	{"delete", 1, (*walk).remove},
	{"regroup", 4, (*walk).regroup},
	{"wait", 5, (*walk).wait},
	{"sweep", 2, (*walk).sweep},
}

func newWalk(ctx context.Context, s *server) (*walk, error) {
	s.walks++
	w := &walk{
		server: s, model: &model{off: map[string]bool{}},
		windows: map[*browser]*window{}, forms: map[*page]view{}, texts: map[*code]string{},
		bearer: map[*access]string{}, seen: map[string]*person{},
	}
	if err := regroup(ctx, s.app.Rooms, nil); err != nil {
		return nil, err
	}
	for _, name := range []string{"aiko", "ben", "chie"} {
		p, err := s.signUp(ctx, name)
		if err != nil {
			return nil, err
		}
		w.people = append(w.people, p)
	}
	for range 2 {
		b := &browser{}
		w.browsers = append(w.browsers, b)
		w.windows[b] = &window{
			server: s, cookies: map[string]string{},
			address: netip.AddrFrom4([4]byte{10, byte(s.walks >> 8), byte(s.walks), byte(len(w.browsers))}), //nolint:gosec // cut on purpose
		}
	}
	return w, nil
}

// one picks from a list, with a liking for what is new.
func one[T any](w *walk, list []T) T {
	if len(list) > 1 && w.chance(2, 3) {
		return list[len(list)-1]
	}
	return list[w.rand.IntN(len(list))]
}

// living is one of a list that is good for something yet, and now and then of
// what is not. It is nil when there is none.
func living[T any](w *walk, list []*T, good func(*T) bool) *T {
	if !w.chance(1, 5) {
		list = slices.DeleteFunc(slices.Clone(list), func(t *T) bool { return !good(t) })
	}
	if len(list) == 0 {
		return nil
	}
	return one(w, list)
}

func (w *walk) token() *access { return living(w, w.tokens, w.model.alive) }

func (w *walk) family() *family {
	return living(w, w.families, func(f *family) bool { return !f.grant.ended && w.model.now.Before(f.expires) })
}

func (w *walk) chance(of, outOf int) bool { return w.rand.IntN(outOf) < of }

// clientFor is mostly the right client, else any.
func (w *walk) clientFor(right string) string {
	if w.chance(9, 10) {
		return right
	}
	return one(w, clientNames)
}

func (w *walk) someone() *person { return w.people[w.rand.IntN(len(w.people))] }

func (w *walk) someBrowser() *browser { return w.browsers[w.rand.IntN(len(w.browsers))] }

// person runs what an operator does to a person.
func (w *walk) person(ctx context.Context, what string, do func(context.Context, string, string) error) (*person, *told) {
	p := w.someone()
	t := &told{what: what + " " + p.email, want: "ok", got: "ok"}
	if p.gone {
		t.want = account.ErrUnknown.Error()
	}
	if err := do(ctx, p.account, "walk"); err != nil {
		t.got = err.Error()
	}
	return p, t
}

func (w *walk) disable(ctx context.Context) *told {
	p, t := w.person(ctx, "disable", w.server.app.DisableAccount)
	p.disabled = true
	w.model.endPerson(p)
	return t
}

func (w *walk) enable(ctx context.Context) *told {
	p, t := w.person(ctx, "enable", w.server.app.EnableAccount)
	p.disabled = false
	return t
}

func (w *walk) remove(ctx context.Context) *told {
	p, t := w.person(ctx, "delete", w.server.app.DeleteAccount)
	p.gone = true
	w.model.endPerson(p)
	return t
}

// regroup applies the group with an option more or less. A client that is
// taken away takes with it what it held.
func (w *walk) regroup(ctx context.Context) *told {
	option, off := options[w.rand.IntN(len(options))], maps.Clone(w.model.off)
	for _, missing := range options {
		if off[missing] && w.chance(1, 2) {
			option = missing // what was taken away comes back
		}
	}
	off[option] = !off[option]
	t := &told{what: fmt.Sprintf("regroup, without %s: %t", option, off[option]), want: "ok", got: "ok"}
	if err := regroup(ctx, w.server.app.Rooms, off); err != nil {
		t.got = err.Error()
	}
	w.model.off = off
	w.model.end(func(g *given) bool { return !w.model.declared(g.client) })
	if off["blog"] {
		for _, p := range w.people {
			delete(p.consents, "blog.spa")
		}
	}
	return t
}

// wait lets time pass: mostly little, so that limits are met from both sides.
func (w *walk) wait(context.Context) *told {
	lengths := []time.Duration{
		10 * time.Second, 29 * time.Second, 31 * time.Second, time.Minute, 4 * time.Minute, 6 * time.Minute, 11 * time.Minute,
		31 * time.Minute, 59 * time.Minute, 61 * time.Minute, 25 * time.Hour, 8 * 24 * time.Hour, 15 * 24 * time.Hour,
	}
	n := len(lengths)
	length := lengths[min(w.rand.IntN(n), w.rand.IntN(n), w.rand.IntN(n))]
	w.server.now = w.server.now.Add(length)
	return &told{"wait " + length.String(), "", ""}
}

// sweep does the housekeeping, which nobody may notice.
func (w *walk) sweep(ctx context.Context) *told {
	t := &told{what: "sweep", want: "ok", got: "ok"}
	if err := w.server.sweep(ctx); err != nil {
		t.got = err.Error()
	}
	return t
}
