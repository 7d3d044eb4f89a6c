package rs

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/sdk/rp"
)

const (
	longestLife = 10 * time.Minute // of an access token, by the server's rules
	endingLife  = longestLife + 2*skew
	maxEndings  = 50_000 // of one generation
)

// EndSession refuses the tokens of a session from now on, though they have not
// expired. Subsystem is the one whose clients call, and sessionID the sid of
// the tokens that they call with. At is when the session ended.
//
// An event.Receiver with this guard calls it for the platform's events. It
// tells this process alone; event.Receiver.Follow tells the other replicas.
func (g *Guard) EndSession(subsystem, sessionID string, at time.Time) {
	g.ended.end(endingOf{session, subsystem, sessionID}, at, g.now())
}

// EndUser refuses the tokens of a person that were issued until at: the account
// is disabled or gone. Subject is the person as subsystem's clients call for.
func (g *Guard) EndUser(subsystem, subject string, at time.Time) {
	g.ended.end(endingOf{user, subsystem, subject}, at, g.now())
}

// RestoreUser takes an earlier EndUser back: the account is enabled again.
// What ended later than at stays so, in whichever order the news arrive.
func (g *Guard) RestoreUser(subsystem, subject string, at time.Time) {
	g.ended.restore(endingOf{user, subsystem, subject}, at, g.now())
}

type endedKind int

const (
	session endedKind = iota
	user
)

type endingOf struct {
	kind          endedKind
	subsystem, id string
}

type ending struct {
	at       time.Time
	restored bool
}

// endings remembers what has ended for as long as a token from before may live.
// Entries are in two generations: when the young one is old enough or full it
// takes the place of the old one, which is dropped whole. Where that is too
// early, every person's token from before is refused in its place (until):
// callers get new ones, and none is let through that cannot be judged.
type endings struct {
	any atomic.Bool // whether there was ever one: the usual case costs nothing

	mu         sync.RWMutex
	size       int // zero: maxEndings
	young, old map[endingOf]ending
	begun      time.Time // of young
	youngest   time.Time // the latest end in young
	oldest     time.Time // the latest end in old
	until      time.Time // tokens issued until then are refused
}

func (e *endings) end(of endingOf, at, now time.Time) {
	e.put(of, ending{at: at}, now)
}

func (e *endings) restore(of endingOf, at, now time.Time) {
	e.put(of, ending{at: at, restored: true}, now)
}

// put keeps an entry unless the known one is later, or every token it could be
// about has expired. Of an end and a restoration at one time the end counts.
func (e *endings) put(of endingOf, entry ending, now time.Time) {
	// An end without a time, or in the future, is one of now.
	if latest := now.Add(skew); entry.at.IsZero() || entry.at.After(latest) {
		entry.at = latest
	}
	if of.subsystem == "" || of.id == "" || now.Sub(entry.at) > endingLife {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known, found := e.find(of)
	if found && (known.at.After(entry.at) || entry.restored && known.at.Equal(entry.at)) {
		return
	}
	e.turn(of, now)
	e.young[of] = entry
	if entry.at.After(e.youngest) {
		e.youngest = entry.at
	}
	e.any.Store(true)
}

// turn begins a new generation where it is time, or where there is no room.
func (e *endings) turn(of endingOf, now time.Time) {
	size := e.size
	if size == 0 {
		size = maxEndings
	}
	_, kept := e.young[of]
	full := len(e.young) >= size && !kept
	if e.young != nil && !full && now.Sub(e.begun) < endingLife {
		return
	}
	if now.Sub(e.oldest) <= endingLife && e.oldest.After(e.until) {
		e.until = e.oldest
	}
	e.old, e.oldest = e.young, e.youngest
	e.young, e.youngest, e.begun = make(map[endingOf]ending), time.Time{}, now
}

func (e *endings) find(of endingOf) (ending, bool) {
	entry, found := e.young[of]
	if !found {
		entry, found = e.old[of]
	}
	return entry, found
}

// over reports whether the session or the person behind a token has ended.
// own is this service's subsystem, whose subject an introspection tells too.
func (e *endings) over(c *tokenClaims, own string) bool {
	if !e.any.Load() || c.ServiceContext() {
		return false
	}
	subsystem := rp.SubsystemOf(c.ClientID)
	e.mu.RLock()
	defer e.mu.RUnlock()
	// The replicas of the server learn of an end within a moment, and their
	// clocks differ: a token may be issued shortly after.
	issued := time.Unix(c.IssuedAt, 0).Add(-skew)
	if !issued.After(e.until) {
		return true
	}
	if c.SessionID != "" {
		if _, found := e.find(endingOf{session, subsystem, c.SessionID}); found {
			return true
		}
	}
	return e.userOver(endingOf{user, subsystem, c.Subject}, issued) ||
		c.own != "" && e.userOver(endingOf{user, own, c.own}, issued)
}

func (e *endings) userOver(of endingOf, issued time.Time) bool {
	entry, found := e.find(of)
	return found && !entry.restored && !issued.After(entry.at)
}
