package web

import (
	"net/http"
	"sync/atomic"

	"github.com/sekisho-id/sekisho/oauth"
)

// Urgency says how long a request is still taken when more come than a process can
// answer in time.
type Urgency int

// From those that are refused first to those that are refused last.
const (
	SignUps Urgency = iota
	SignIns
	Tokens
	Checks // of tokens, by resource servers that hold a request of their own meanwhile
	urgencies
)

// shares are the parts of the whole, in percent, that may be under way before a
// request of an urgency is refused. Those that are more urgent have the rest to
// themselves.
var shares = [urgencies]int64{SignUps: 40, SignIns: 50, Tokens: 80, Checks: 100}

// Admission keeps a process from beginning more than it can answer in time: what is
// above is refused at once, which costs little, instead of late, when nobody waits
// for it any more. Nothing is queued.
type Admission struct {
	Most int64 // requests under way

	underWay atomic.Int64
	refused  [urgencies]atomic.Int64
}

// Admit refuses a request with 503 while too many are under way.
func (a *Admission) Admit(u Urgency, next http.HandlerFunc) http.HandlerFunc {
	limit := max(1, a.Most*shares[u]/100)
	return func(w http.ResponseWriter, r *http.Request) {
		defer a.underWay.Add(-1)
		if a.underWay.Add(1) > limit {
			a.refused[u].Add(1)
			Event(r.Context()).Set("cause", "too many requests are under way")
			WriteError(w, r, oauth.Refuse(oauth.TemporarilyUnavailable, "The server has too much to do at the moment. Try again in a few seconds."))
			return
		}
		next(w, r)
	}
}

// UnderWay is how many requests are.
func (a *Admission) UnderWay() int64 { return a.underWay.Load() }

// Refused is how many were refused so far, by urgency.
func (a *Admission) Refused() map[string]int64 {
	return map[string]int64{
		"sign-up": a.refused[SignUps].Load(), "sign-in": a.refused[SignIns].Load(),
		"token": a.refused[Tokens].Load(), "check": a.refused[Checks].Load(),
	}
}
