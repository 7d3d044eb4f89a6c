package registry

import (
	"fmt"
	"slices"
	"strings"
)

// checkNeverLink checks that no chain of calls and events joins the two of a
// pair. Whoever is called can turn identifiers of the caller into its own and
// back, and whoever publishes events can turn its own into those of a receiver.
// So two subsystems on one chain could, all on it together, find out that two
// identifiers belong to one person, whichever way the calls go.
func (c checker) checkNeverLink() {
	seen := map[[2]string]bool{}
	for i, pair := range c.group.NeverLink {
		path := fmt.Sprintf("never_link[%d]", i)
		if c.isLost(path) {
			continue
		}
		if len(pair) != 2 || pair[0] == pair[1] {
			c.value(path, "is no pair", "write two names of subsystems: [shop, clinic]")
			continue
		}
		_, first := c.checkEnd(path+"[0]", pair[0])
		_, second := c.checkEnd(path+"[1]", pair[1])
		if !first || !second {
			continue
		}
		key := [2]string{min(pair[0], pair[1]), max(pair[0], pair[1])}
		if seen[key] {
			c.value(path, "is there twice", "remove one of them")
		}
		seen[key] = true
		if chain := c.group.chain(pair[0], pair[1]); len(chain) > 0 {
			c.value(path, fmt.Sprintf("%s and %s can be linked: %s", pair[0], pair[1], strings.Join(chain, ", ")), "remove one of these, or the pair")
		}
	}
}

// link joins two subsystems, in words.
type link struct {
	from, to string
	words    string
}

// links are all calls, and all events that one subsystem tells another. The
// platform knows everybody already.
func (g *Group) links() []link {
	var links []link
	for _, call := range g.Calls {
		links = append(links, link{call.From, call.To, call.From + " calls " + call.To})
	}
	for _, event := range g.Events {
		if event.Publisher == Platform {
			continue
		}
		for _, receiver := range event.Receivers {
			links = append(links, link{event.Publisher, receiver, event.Publisher + " publishes to " + receiver})
		}
	}
	return links
}

// chain finds the shortest chain of links between two subsystems, in words; nil
// where there is none.
func (g *Group) chain(from, to string) []string {
	type step struct {
		before string
		words  string
	}
	links := g.links()
	reached := map[string]step{from: {}}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		here := queue[0]
		if here == to {
			break
		}
		for _, link := range links {
			next := ""
			switch here {
			case link.from:
				next = link.to
			case link.to:
				next = link.from
			}
			if _, known := reached[next]; next == "" || known {
				continue
			}
			reached[next] = step{before: here, words: link.words}
			queue = append(queue, next)
		}
	}
	var chain []string
	for at, ok := reached[to]; ok && at.words != ""; at = reached[at.before] {
		chain = append(chain, at.words)
	}
	slices.Reverse(chain)
	return chain
}

func (d differ) diffNeverLink() {
	before, after := pairs(d.old.NeverLink), pairs(d.new.NeverLink)
	for _, pair := range missing(after, before) {
		d.gain("never_link", "%s can never be linked: calls that would let them are refused.", pair)
	}
	for _, pair := range missing(before, after) {
		d.loss("never_link", "%s are no longer kept from being linked.", pair)
	}
}

// pairs are the pairs in words.
func pairs(neverLink [][]string) []string {
	words := make([]string, len(neverLink))
	for i, pair := range neverLink {
		words[i] = list(pair, "and")
	}
	return words
}
