package registry

import (
	"cmp"
	"fmt"
	"slices"
)

// differ writes the plan from one group to another.
type differ struct {
	old        *Group
	new        *Group
	registered map[string][]string // clients registered in the old one, by subsystem
	plan       *Plan
}

// Diff says in words what changes from one group to another; old may be nil.
// Both are checked groups.
func Diff(old, group *Group) Plan { return diff(old, group, nil) }

func diff(old, group *Group, registered map[string][]string) Plan {
	plan := Plan{Changes: []Change{}}
	d := differ{old: old, new: group, registered: registered, plan: &plan}
	if old == nil {
		d.old = new(Group)
	}
	d.diffGroup()
	d.diffProviders()
	for _, name := range union(d.old.Subsystems, d.new.Subsystems) {
		d.diffSubsystem(name)
	}
	d.diffCalls()
	d.diffLegacy()
	d.diffEvents()
	d.diffNeverLink()
	return plan
}

func (d differ) gain(about, format string, args ...any) { d.add(Gain, about, format, args) }
func (d differ) loss(about, format string, args ...any) { d.add(Loss, about, format, args) }
func (d differ) other(about, format string, args ...any) {
	d.add(Other, about, format, args)
}

func (d differ) add(kind ChangeKind, about, format string, args []any) {
	d.plan.Changes = append(d.plan.Changes, Change{Kind: kind, About: about, Sentence: fmt.Sprintf(format, args...)})
}

func (d differ) diffGroup() {
	switch {
	case d.old.Issuer == "":
		d.gain("group", "The group begins, with the issuer %s.", d.new.Issuer)
		if d.new.Name != (Text{}) {
			d.gain("group", "The group is called %s.", words(d.new.Name))
		}
		return
	case d.old.Issuer != d.new.Issuer:
		d.other("group", "The issuer becomes %s (was %s): tokens made before are refused from now on, and every client has to be told. Identifiers of people stay the same.",
			d.new.Issuer, d.old.Issuer)
	}
	if d.old.Name != d.new.Name {
		d.other("group", "The group is called %s (was %s).", words(d.new.Name), words(d.old.Name))
	}
	if was, is := d.old.Theme.Name(), d.new.Theme.Name(); was != is {
		d.other("group", "The pages are in %s (were in %s).", d.new.Theme.words(), d.old.Theme.words())
	}
}

func (d differ) diffSubsystem(name string) {
	before, after := d.old.Subsystems[name], d.new.Subsystems[name]
	switch {
	case before == nil:
		d.joins(name, after)
		before = new(GroupSubsystem)
	case after == nil:
		d.leaves(name, before)
		after = new(GroupSubsystem)
	default:
		d.diffTraits(name, before, after)
	}
	d.diffIdentity(name, before.Identity, after.Identity)
	d.diffResource(name, before.Resource, after.Resource)
	for _, short := range union(before.Clients, after.Clients) {
		d.diffClient(clientID(name, short), before.Clients[short], after.Clients[short])
	}
	d.diffRegistered(name)
}

func (d differ) joins(name string, s *GroupSubsystem) {
	sentence := fmt.Sprintf("%s joins as %s, called %s.", name, s.Scenario.phrase(), words(s.Name))
	if s.Scenario.NeedsConsent() {
		sentence += " People are asked for consent before it gets anything."
	}
	switch {
	case s.Sector != "" && d.old.Issuer == "":
		sentence += fmt.Sprintf(" Its sector is %s.", s.Sector)
	case s.Sector != "":
		sentence += fmt.Sprintf(" It takes over the sector %s: people keep the identifiers they have there.", s.Sector)
	}
	d.gain(name, "%s", sentence)
}

func (d differ) leaves(name string, s *GroupSubsystem) {
	sector := d.old.sectorName(name)
	for _, other := range sortedKeys(d.new.Subsystems) {
		if d.new.sectorName(other) == sector {
			d.loss(name, "%s leaves. Its sector %s goes over to %s, with the identifiers people have there.", name, sector, other)
			return
		}
	}
	d.loss(name, "%s, %s, leaves. Its sector %s is kept: if it returns, people have the same identifiers there.", name, s.Scenario.phrase(), sector)
}

// diffTraits compares what a subsystem is.
func (d differ) diffTraits(name string, before, after *GroupSubsystem) {
	if before.Scenario != after.Scenario {
		sentence := fmt.Sprintf("%s becomes %s (was %s).", name, after.Scenario.phrase(), before.Scenario.phrase())
		switch {
		case after.Scenario.NeedsConsent():
			sentence += " From now on people are asked for consent."
		case before.Scenario.NeedsConsent():
			sentence += " From now on people are no longer asked for consent."
		}
		d.other(name, "%s", sentence)
	}
	if was, is := d.old.sectorName(name), d.new.sectorName(name); was != is {
		d.other(name, "%s changes its sector from %s to %s: EVERY person gets another identifier there, and what it keeps under the old ones is out of reach.", name, was, is)
	}
	if before.Name != after.Name {
		d.other(name, "%s is called %s (was %s).", name, words(after.Name), words(before.Name))
	}
	if was, is := before.Theme.Name(), after.Theme.Name(); was != is {
		d.other(name, "The pages on which people sign in to %s are in %s (were in %s).", name, after.Theme.words(), before.Theme.words())
	}
}

func (d differ) diffIdentity(name string, before, after []string) {
	if more := missing(after, before); len(more) > 0 {
		d.gain(name, "%s may ask for %s of people who sign in.", name, list(more, "and"))
	}
	if less := missing(before, after); len(less) > 0 {
		d.loss(name, "%s may no longer ask for %s of people who sign in.", name, list(less, "and"))
	}
}

func (d differ) diffResource(name string, before, after *GroupResource) {
	switch {
	case before == nil && after == nil:
		return
	case before == nil:
		d.gain(name, "%s can be called as %s, with the scopes %s.", name, after.Audience, list(sortedKeys(after.Scopes), "and"))
		if after.Opaque {
			d.other(name, "Access tokens for %s are opaque.", name)
		}
		d.diffDetails(name, nil, after.Details)
		if after.Profile.fapi() {
			d.other(name, "Access tokens for %s are given to clients of the profile %s only, bound to a key of theirs.", name, after.Profile)
		}
		return
	case after == nil:
		d.loss(name, "%s can no longer be called: there are no tokens for %s any more.", name, before.Audience)
		return
	}
	if before.Audience != after.Audience {
		d.other(name, "%s can be called as %s (was %s): whoever asks for tokens for the old one is refused.", name, after.Audience, before.Audience)
	}
	if more := missing(sortedKeys(after.Scopes), sortedKeys(before.Scopes)); len(more) > 0 {
		d.gain(name, "%s has new scopes: %s.", name, list(more, "and"))
	}
	if less := missing(sortedKeys(before.Scopes), sortedKeys(after.Scopes)); len(less) > 0 {
		d.loss(name, "%s no longer has these scopes: %s.", name, list(less, "and"))
	}
	for _, scope := range sortedKeys(after.Scopes) {
		if was, ok := before.Scopes[scope]; ok && was != after.Scopes[scope] {
			d.other(name, "The scope %s of %s reads %s (was %s).", scope, name, words(after.Scopes[scope]), words(was))
		}
	}
	d.diffDetails(name, before.Details, after.Details)
	if before.Opaque != after.Opaque {
		form := map[bool]string{true: "opaque", false: "JWTs"}
		d.other(name, "Access tokens for %s are %s (were %s).", name, form[after.Opaque], form[before.Opaque])
	}
	if was, is := cmp.Or(before.Profile, ProfileOIDC), cmp.Or(after.Profile, ProfileOIDC); was.reaches(is) && was != is {
		d.gain(name, "Access tokens for %s are given to clients of the profile %s (was %s).", name, is, was)
	} else if was != is {
		d.loss(name, "Access tokens for %s are given to clients of the profile %s only, bound to a key of theirs (was %s): other clients get no more.", name, is, was)
	}
}

// words shows a text in a sentence.
func words(t Text) string {
	switch {
	case t == Text{}:
		return "by no name of its own"
	case t.Ja == "":
		return quote(t.En)
	case t.En == "":
		return quote(t.Ja)
	default:
		return quote(t.En) + " and " + quote(t.Ja)
	}
}

// union lists the keys of both maps, sorted.
func union[V any](a, b map[string]V) []string {
	return slices.Compact(slices.Sorted(slices.Values(append(sortedKeys(a), sortedKeys(b)...))))
}

// missing lists what is in one list and not in the other.
func missing(in, notIn []string) []string {
	var result []string
	for _, s := range in {
		if !slices.Contains(notIn, s) {
			result = append(result, s)
		}
	}
	return result
}
