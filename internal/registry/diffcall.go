package registry

import (
	"cmp"
	"slices"
)

// edgeDiff compares one edge before and after.
type edgeDiff struct {
	differ
	about  string
	before GroupCall
	after  GroupCall
}

func (d differ) diffCalls() {
	type pair struct{ from, to string }
	before, after := map[pair]GroupCall{}, map[pair]GroupCall{}
	var pairs []pair
	for _, call := range d.old.Calls {
		key := pair{call.From, call.To}
		before[key], pairs = call, append(pairs, key)
	}
	for _, call := range d.new.Calls {
		key := pair{call.From, call.To}
		after[key], pairs = call, append(pairs, key)
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	for _, key := range slices.Compact(pairs) {
		was, had := before[key]
		is, has := after[key]
		was.From, was.To, is.From, is.To = key.from, key.to, key.from, key.to
		e := edgeDiff{differ: d, about: key.from + " -> " + key.to, before: was, after: is}
		e.diffUser()
		e.diffService()
		e.diffChains(had, has)
		e.diffBound(had, has)
		e.diffConversion(had, has)
	}
}

// diffUser compares the scopes for a person, those under one condition in one
// sentence.
func (e edgeDiff) diffUser() {
	was, is := conditions(e.before.User), conditions(e.after.User)
	from, to := e.after.From, e.after.To
	gained, lost := newGroups(), newGroups()
	for _, scope := range union(was, is) {
		before, had := was[scope]
		after, has := is[scope]
		switch {
		case !had:
			gained.add(after, scope)
		case !has:
			lost.add("", scope)
		case before == after:
		case after == "":
			e.gain(e.about, "%s may use %s at %s for a person without condition (was only in exchange for a token that holds %s).", from, scope, to, before)
		case before == "":
			e.loss(e.about, "%s may use %s at %s for a person only in exchange for a token that holds %s (was without condition).", from, scope, to, after)
		default:
			e.other(e.about, "%s may use %s at %s for a person only in exchange for a token that holds %s (was %s).", from, scope, to, after, before)
		}
	}
	for _, when := range gained.order {
		condition := ""
		if when != "" {
			condition = ", only in exchange for a token that holds " + when
		}
		e.gain(e.about, "%s may call %s for a person with %s%s.", from, to, list(gained.scopes[when], "and"), condition)
	}
	if scopes := lost.scopes[""]; len(scopes) > 0 {
		e.loss(e.about, "%s may no longer call %s for a person with %s.", from, to, list(scopes, "and"))
	}
}

// conditions maps the scopes to their conditions in words.
func conditions(user []GroupUser) map[string]string {
	m := map[string]string{}
	for _, u := range user {
		m[u.Scope] = ""
		if len(u.When) > 0 {
			m[u.Scope] = list(u.When, "and")
		}
	}
	return m
}

// groups gathers scopes by their condition.
type groups struct {
	order  []string
	scopes map[string][]string
}

func newGroups() *groups { return &groups{scopes: map[string][]string{}} }

func (g *groups) add(condition, scope string) {
	if g.scopes[condition] == nil {
		g.order = append(g.order, condition)
	}
	g.scopes[condition] = append(g.scopes[condition], scope)
}

func (e edgeDiff) diffService() {
	if more := missing(e.after.Service, e.before.Service); len(more) > 0 {
		e.gain(e.about, "%s may call %s for itself with %s.", e.after.From, e.after.To, list(more, "and"))
	}
	if less := missing(e.before.Service, e.after.Service); len(less) > 0 {
		e.loss(e.about, "%s may no longer call %s for itself with %s.", e.after.From, e.after.To, list(less, "and"))
	}
}

func (e edgeDiff) diffChains(had, has bool) {
	switch {
	case !has || had && e.before.ThirdPartyChains == e.after.ThirdPartyChains:
	case e.after.ThirdPartyChains:
		e.gain(e.about, "Chains that a third party began may go on from %s to %s.", e.after.From, e.after.To)
	case had:
		e.loss(e.about, "Chains that a third party began end before %s: %s may no longer carry them on.", e.after.To, e.after.From)
	}
}

func (e edgeDiff) diffBound(had, has bool) {
	switch {
	case !has || had && e.before.Bound == e.after.Bound:
	case e.after.Bound && had:
		e.loss(e.about, "Tokens of %s for %s must be bound to a key that it proves to hold: without a proof it gets no more.", e.after.From, e.after.To)
	case e.after.Bound:
		e.other(e.about, "Tokens of %s for %s are bound to a key that it proves to hold.", e.after.From, e.after.To)
	case had:
		e.gain(e.about, "Tokens of %s for %s need not be bound to a key any more.", e.after.From, e.after.To)
	}
}

// diffConversion says what an edge means for identifiers of people.
func (e edgeDiff) diffConversion(had, has bool) {
	from, to := e.after.From, e.after.To
	limit := ""
	if e.after.RequireGrant {
		limit = ", of people who have used " + from
	}
	switch {
	case !had:
		e.gain(e.about, "%s may convert identifiers between %s and itself%s.", to, from, limit)
	case !has:
		e.loss(e.about, "%s may no longer convert identifiers between %s and itself.", to, from)
	case e.after.RequireGrant && !e.before.RequireGrant:
		e.loss(e.about, "%s may convert identifiers between %s and itself only of people who have used %s.", to, from, from)
	case !e.after.RequireGrant && e.before.RequireGrant:
		e.gain(e.about, "%s may convert identifiers between %s and itself of people who have never used %s, too.", to, from, from)
	}
}
