package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What was promised of time.
const (
	graceLife = 30 * time.Second        // within which a refresh token may be sent again
	spareLife = 2 * time.Second         // of that: a request may wait
	repeats   = 2                       // how often its answer is repeated
	seenLimit = 1500 * time.Millisecond // until every replica knows of a revocation: a second, and the way
)

// Span is a time during which replicas could not reach the database: until it is
// over, paths that do no database work go by the revocations they know.
type Span struct{ From, To time.Duration }

// Findings is what the checker makes of the records.
type Findings struct {
	Operations int // acknowledged
	Unknowns   int
	Refused    int // that had to be
	Unready    int // answered 503, or not accepted by anybody
	Violations []string
}

// Check holds records against what was promised.
func Check(records []Record, blind ...Span) Findings {
	c := checker{blind: blind, families: map[string]*story{}, subjects: map[string]string{}, people: map[string]int{}, tried: map[int]bool{}, sent: map[string]int{}, taken: map[string]int{}}
	ordered := slices.Clone(records)
	slices.SortStableFunc(ordered, func(a, b Record) int { return cmp.Compare(a.Start, b.Start) })
	for i := range ordered {
		c.learn(&ordered[i])
	}
	for i := range ordered {
		c.judge(&ordered[i])
	}
	for _, id := range c.order {
		c.once(c.families[id])
	}
	for id, n := range c.taken {
		if n > 1 {
			c.found.Violations = append(c.found.Violations, fmt.Sprintf("client assertion %s was taken %d times", id, n))
		}
	}
	return c.found
}

type checker struct {
	blind    []Span
	families map[string]*story
	order    []string
	subjects map[string]string // by person and sector
	people   map[string]int    // by subject
	tried    map[int]bool      // people of whom a sign-in had no answer: it may count as failed
	sent     map[string]int    // client assertions, by digest of jti
	taken    map[string]int
	found    Findings
}

// story is all that is known of a family.
type story struct {
	redeemed   int                        // codes taken
	successors map[string]map[string]bool // by token sent
	firstSent  map[string]time.Duration   // by token
	sent       map[string]int
	mayEnd     time.Duration // from then on it may be over: a revocation was sent, or a token too late
	mayBeOver  bool
	over       time.Duration // from then on it is: that was acknowledged
	isOver     bool
	id         string
	rotates    bool
}

func (c *checker) violation(r *Record, format string, args ...any) {
	c.found.Violations = append(c.found.Violations, fmt.Sprintf("%s at %s, %s, person %d, family %s: %s",
		r.Op, r.Start.Round(time.Millisecond), r.Replica, r.Person, r.Family, fmt.Sprintf(format, args...)))
}

func (c *checker) story(id string) *story {
	s := c.families[id]
	if s == nil {
		s = &story{id: id, successors: map[string]map[string]bool{}, firstSent: map[string]time.Duration{}, sent: map[string]int{}}
		c.families[id] = s
		c.order = append(c.order, id)
	}
	return s
}

// learn takes from a record what others are judged by.
func (c *checker) learn(r *Record) {
	if r.Op == Assertion {
		if c.sent[r.In]++; r.Outcome == OK {
			c.taken[r.In]++
		}
	}
	if r.Family == "" {
		return
	}
	s := c.story(r.Family)
	switch r.Op {
	case Redeem:
		if _, again := s.firstSent[r.In]; again {
			s.may(r.Start)
		}
		s.firstSent[r.In] = r.Start
		if r.Outcome == OK {
			s.redeemed++
		}
	case Refresh:
		s.rotates = s.rotates || r.Client == "shop.ios"
		s.sent[r.In]++
		switch first, again := s.firstSent[r.In]; {
		case !again:
			s.firstSent[r.In] = r.Start
		case s.rotates && r.End-first > graceLife-spareLife:
			s.may(r.Start) // the first may have been taken, and this one is too late
		case s.rotates && s.sent[r.In] > 1+repeats:
			s.may(first) // any of those may have been one too many
		}
		if r.Outcome == OK {
			if s.successors[r.In] == nil {
				s.successors[r.In] = map[string]bool{}
			}
			s.successors[r.In][r.Out] = true
		}
	case Revoke:
		if r.Outcome != Refused {
			s.may(r.Start)
		}
		if r.Outcome == OK && (!s.isOver || r.End < s.over) {
			s.isOver, s.over = true, r.End
		}
	case SignIn, Authorize, Exchange, Introspect, Service, Assertion, Fetch:
	}
}

func (s *story) may(from time.Duration) {
	if !s.mayBeOver || from < s.mayEnd {
		s.mayBeOver, s.mayEnd = true, from
	}
}

// judge holds one record against what was promised.
func (c *checker) judge(r *Record) {
	switch r.Outcome {
	case OK:
		c.found.Operations++
		c.judgeOK(r)
	case Refused:
		c.found.Operations++
		c.judgeRefused(r)
	case Unavailable:
		c.found.Unready++
		c.tried[r.Person] = c.tried[r.Person] || r.Op == SignIn
	case Unknown:
		c.found.Unknowns++
		c.tried[r.Person] = c.tried[r.Person] || r.Op == SignIn
	case Wrong:
		c.violation(r, "answered with %s", r.Said)
	}
}

func (c *checker) judgeOK(r *Record) {
	if r.Fault != "" {
		c.violation(r, "%s", r.Fault)
	}
	if s := c.families[r.Family]; s != nil && s.isOver && r.Op != Revoke && r.Start > s.over+c.slack(r.Op, s.over) {
		c.violation(r, "it works %s after its end was acknowledged", (r.Start - s.over).Round(time.Millisecond))
	}
	if r.Subject == "" {
		return
	}
	who := fmt.Sprint(r.Sector, " ", r.Person)
	if before, ok := c.subjects[who]; ok && before != r.Subject {
		c.violation(r, "the person was %s in %s, and is %s", before, r.Sector, r.Subject)
	}
	c.subjects[who] = r.Subject
	if before, ok := c.people[r.Subject]; ok && before != r.Person {
		c.violation(r, "%s is person %d", r.Subject, before)
	}
	c.people[r.Subject] = r.Person
}

// slack is how long after the end of a family a path may not know of it.
func (c *checker) slack(op Op, end time.Duration) time.Duration {
	if op.NeedsDatabase() {
		return 0
	}
	for _, span := range c.blind {
		if end+seenLimit >= span.From && end <= span.To {
			return span.To + seenLimit - end
		}
	}
	return seenLimit
}

// judgeRefused holds that nobody was refused what they had.
func (c *checker) judgeRefused(r *Record) {
	s := c.families[r.Family]
	throttled := r.Op == SignIn && strings.HasPrefix(r.Said, "429") && c.tried[r.Person]
	if throttled || r.Op == Assertion && c.sent[r.In] > 1 || s != nil && s.mayBeOver && r.End >= s.mayEnd {
		c.found.Refused++
		return
	}
	c.violation(r, "refused: %s", r.Said)
}

// once holds that what may be had once was had once.
func (c *checker) once(s *story) {
	if s.redeemed > 1 {
		c.found.Violations = append(c.found.Violations, fmt.Sprintf("family %s: its code was redeemed %d times", s.id, s.redeemed))
	}
	for sent, got := range s.successors {
		if len(got) > 1 && s.rotates {
			c.found.Violations = append(c.found.Violations, fmt.Sprintf("family %s: token %s has %d successors", s.id, sent, len(got)))
		}
	}
}
