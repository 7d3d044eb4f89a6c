package registry

import (
	"cmp"
	"slices"
)

// eventRight is one publisher's right to tell one receiver.
type eventRight struct{ publisher, receiver string }

// diffEvents compares who may tell whom what, one receiver of one publisher
// after the other.
func (d differ) diffEvents() {
	before, after := d.old.eventRights(), d.new.eventRights()
	var rights []eventRight
	for right := range before {
		rights = append(rights, right)
	}
	for right := range after {
		rights = append(rights, right)
	}
	slices.SortFunc(rights, func(a, b eventRight) int {
		return cmp.Or(cmp.Compare(a.publisher, b.publisher), cmp.Compare(a.receiver, b.receiver))
	})
	for _, right := range slices.Compact(rights) {
		d.diffRight(right, before[right], after[right])
	}
}

func (d differ) diffRight(right eventRight, before, after map[string]bool) {
	about := right.publisher + " => " + right.receiver
	publisher := right.publisher
	if publisher == Platform {
		publisher = "the platform"
	}
	if more := missing(sortedKeys(after), sortedKeys(before)); len(more) > 0 {
		var told string
		if right.publisher != Platform {
			told = " " + publisher + " can find out how " + right.receiver + " knows a person."
		}
		d.gain(about, "%s may receive %s from %s.%s", right.receiver, list(more, "and"), publisher, told)
	}
	if less := missing(sortedKeys(before), sortedKeys(after)); len(less) > 0 {
		d.loss(about, "%s may no longer receive %s from %s.", right.receiver, list(less, "and"), publisher)
	}
	for _, name := range sortedKeys(after) {
		was, had := before[name]
		switch is := after[name]; {
		case !had && is:
			d.other(about, "%s hears of %s only about people who have used it.", right.receiver, name)
		case had && is && !was:
			d.loss(about, "%s hears of %s only about people who have used it (was about everybody).", right.receiver, name)
		case had && !is && was:
			d.gain(about, "%s hears of %s about everybody (was only about people who have used it).", right.receiver, name)
		}
	}
}

// eventRights are all rights with the types of event under each, and whether
// only people who have used the receiver are meant.
func (g *Group) eventRights() map[eventRight]map[string]bool {
	rights := map[eventRight]map[string]bool{}
	for _, event := range g.Events {
		for _, receiver := range event.Receivers {
			right := eventRight{event.Publisher, receiver}
			if rights[right] == nil {
				rights[right] = map[string]bool{}
			}
			subsystem := g.Subsystems[receiver]
			for _, name := range event.Types {
				rights[right][name] = event.RequireGrant || subsystem != nil && subsystem.Scenario.NeedsConsent()
			}
		}
	}
	return rights
}
