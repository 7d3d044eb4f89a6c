package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Check plays every scenario of the example by itself, as a person with a
// browser would, writes what it sees as numbered lines, and answers with an
// error that names what was wrong. The group must be started.
func (g *Group) Check(ctx context.Context, out io.Writer) error {
	defer g.rest() // nothing is listened to when the authorization server ends
	visitor, err := newBrowser()
	if err != nil {
		return err
	}
	c := &check{
		group: g, out: out, browser: visitor, ids: map[string]Person{},
		person: Member{
			Name: "Mio", Email: "mio-" + strings.ToLower(rand.Text()[:10]) + "@market.example", Password: rand.Text(), Does: "looks around",
		},
	}
	for _, scene := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"Scenario 1: the group's own app", c.signUpAtApp},
		{"Scenario 1: the phone app of the same system", c.signInOnPhone},
		{"Scenario 2: a backend with its own users", c.linkCrypto},
		{"Scenario 3: a service that is called and calls on", c.buyLamp},
		{"Third party", c.signInAtPartner},
		{"Batch: no person", c.settleNightly},
		{"Events", c.sellTeapot},
		{"Events that are not what they say", c.tryEvents},
		{"What is refused", c.tryRefusals},
		{"One person, everywhere", c.compareIDs},
		{"Conversion", c.convertIDs},
		{"The end", c.signOut},
	} {
		c.say("\n%s\n", scene.title)
		if err := scene.play(ctx); err != nil {
			c.verify(false, "%s could not be played to its end: %v", scene.title, err)
			break
		}
	}
	c.say("\n%d checks passed, %d failed\n", c.passed, len(c.failures))
	if len(c.failures) > 0 {
		return fmt.Errorf("%d of %d checks failed: %s", len(c.failures), c.passed+len(c.failures), strings.Join(c.failures, "; "))
	}
	return c.unwritten
}

// check is one run of Check.
type check struct {
	group   *Group
	out     io.Writer
	browser *browser
	person  Member
	ids     map[string]Person // how each system knows the person

	passed    int
	failures  []string
	unwritten error // of writing the trace
}

func (c *check) say(format string, args ...any) {
	if _, err := fmt.Fprintf(c.out, format, args...); err != nil && c.unwritten == nil {
		c.unwritten = fmt.Errorf("write the trace: %w", err)
	}
}

// verify writes one numbered line.
func (c *check) verify(ok bool, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	mark := "✓"
	if ok {
		c.passed++
	} else {
		mark = "✗"
		c.failures = append(c.failures, line)
	}
	c.say("%3d %s %s\n", c.passed+len(c.failures), mark, line)
}

// steps are what the trace has seen since mark.
func (c *check) steps(mark int) []Step {
	all, _ := c.group.trace.all()
	return slices.DeleteFunc(all, func(s Step) bool { return s.Number <= mark })
}

// mark is where the trace stands.
func (c *check) mark() int {
	c.group.trace.mu.Lock()
	defer c.group.trace.mu.Unlock()
	return c.group.trace.numbered
}

// step finds the first step since mark between two parties whose title holds a
// text. A step that is missing is empty, so that what is looked for in it fails.
func (c *check) step(mark int, from, to, title string) Step {
	for _, step := range c.steps(mark) {
		if step.From == from && step.To == to && strings.Contains(step.Title, title) {
			return step
		}
	}
	return Step{}
}

// last is the last token of a step: the issued one, or the presented one.
func (s Step) last() Token {
	if len(s.Tokens) == 0 {
		return Token{}
	}
	return s.Tokens[len(s.Tokens)-1]
}

// token finds a token of a step by its kind.
func (s Step) token(kind string) Token {
	for _, token := range s.Tokens {
		if token.Kind == kind {
			return token
		}
	}
	return Token{}
}

// behind finds the internal ids of a role in one system.
func (s Step) behind(system, role string) []string {
	var ids []string
	for _, person := range s.People {
		if person.System == system && person.Role == role {
			ids = append(ids, person.Internal)
		}
	}
	return ids
}

// signedInHere reads how a site knows the person, off its own page.
func (c *check) signedInHere(ctx context.Context, party string) error {
	if err := c.browser.open(ctx, c.group.urls[party]+"/"); err != nil {
		return err
	}
	known := Person{System: party, Subject: c.browser.text("subject"), Internal: c.browser.text("own-id")}
	if known.Subject == "" || known.Internal == "" {
		return fmt.Errorf("%s does not know the person%s", party, c.browser.complaint())
	}
	c.ids[party] = known
	return nil
}
