package main

import (
	"maps"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/outbox"
)

// evidence is all that the checker knows of a run: what publisher and receivers
// wrote down, and how the database ended.
type evidence struct {
	people       int
	publications []publication
	arrivals     map[string][]arrival               // by receiver
	ended        map[string]map[string]outbox.State // by receiver and jti
	expected     func(receiver string, n int) string
}

// findings is what the checker makes of it.
type findings struct {
	published  map[int]time.Duration // events that were acknowledged, and when
	first      map[string]map[int]time.Duration
	unknowns   int
	delivered  int
	dead       int
	duplicates int // arrivals of what had been taken before
}

// check holds the evidence against what was promised: each acknowledged event
// reaches each receiver or is a dead letter; it has one jti and says the same
// at every try; about one person the first tries are in order.
func (e *evidence) check(to *report) findings {
	f := findings{published: map[int]time.Duration{}, first: map[string]map[int]time.Duration{}}
	for _, p := range e.publications {
		switch p.Outcome {
		case acknowledged:
			f.published[p.N] = p.End
		case unknown:
			f.unknowns++
		case refused:
		}
	}
	to.unknowns += f.unknowns
	for _, receiver := range slices.Sorted(maps.Keys(e.ended)) {
		e.checkArrivals(receiver, &f, to)
		e.checkEnds(receiver, &f, to)
	}
	to.operations += len(f.published) + f.delivered
	return f
}

// checkArrivals looks at what one receiver got.
func (e *evidence) checkArrivals(receiver string, f *findings, to *report) {
	first, taken, said := map[int]time.Duration{}, map[int]bool{}, map[string]string{}
	latest := map[int]int{} // by person
	f.first[receiver] = first
	lines := slices.Clone(e.arrivals[receiver])
	slices.SortStableFunc(lines, func(a, b arrival) int { return int(a.At - b.At) })
	for _, a := range lines {
		if a.N < 0 {
			to.violation("%s cannot read a message: %s", receiver, a.Said)
			continue
		}
		if want := e.expected(receiver, a.N); a.ID != want {
			to.violation("%s: event %d came with jti %s, not %s", receiver, a.N, a.ID, want)
		}
		if before, ok := said[a.ID]; ok && before != a.Said {
			to.violation("%s: jti %s says something else than before", receiver, a.ID)
		}
		said[a.ID] = a.Said
		if _, again := first[a.N]; !again {
			first[a.N] = a.At
			who := a.N % e.people
			if before, ok := latest[who]; ok && before > a.N {
				to.violation("%s: of one person event %d came before event %d", receiver, before, a.N)
			}
			latest[who] = a.N
		}
		if taken[a.N] {
			f.duplicates++
		}
		taken[a.N] = taken[a.N] || a.Status == 202
	}
	for n := range taken {
		if taken[n] {
			f.delivered++
		}
	}
}

// checkEnds looks at how the messages for one receiver ended in the database.
func (e *evidence) checkEnds(receiver string, f *findings, to *report) {
	taken := map[int]bool{}
	for _, a := range e.arrivals[receiver] {
		taken[a.N] = taken[a.N] || a.Status == 202
	}
	for _, n := range slices.Sorted(maps.Keys(f.published)) {
		switch state := e.ended[receiver][e.expected(receiver, n)]; state {
		case outbox.StateDone:
			if !taken[n] {
				to.violation("%s: event %d counts as delivered and never was", receiver, n)
			}
		case outbox.StateDead:
			f.dead++
		case outbox.StatePending:
			to.violation("%s: event %d still waits", receiver, n)
		default:
			to.violation("%s: event %d is missing", receiver, n)
		}
	}
}

// latencies are the times from the acknowledgement of events to their arrival.
func (f *findings) latencies(receivers []*receiver) []time.Duration {
	var all []time.Duration
	for _, r := range receivers {
		for n, at := range f.first[r.name] {
			if published, ok := f.published[n]; ok {
				all = append(all, max(at-published, 0))
			}
		}
	}
	return all
}
