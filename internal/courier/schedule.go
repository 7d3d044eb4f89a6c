package courier

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// schedule says how long to wait after each failure in a row; the last wait goes
// on.
type schedule []time.Duration

var (
	fast = schedule{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
	// slow is for answers that somebody has to do something about: 401, 403, 404, 410.
	slow = schedule{10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

	// A whole stream waits less than a message that fails: the next message may
	// be one that passes. One that answers at all may do so any moment.
	streamAnswers = schedule{5 * time.Second, 30 * time.Second}
	streamSilent  = schedule{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}
)

const (
	worthSending = 3 * 24 * time.Hour // a message that fails for longer is dead
	leastTries   = 4                  // but not before it was tried so often: it may have been sent again by hand
	pauseAfter   = 24 * time.Hour     // of answers for the slow schedule

	leastWait = time.Second // of a Retry-After
	mostWait  = 6 * time.Hour
)

// wait is how long to wait after a number of failures before this one, within a
// fifth, so that what failed together does not come back together.
func (s schedule) wait(failures int) time.Duration {
	base := s[min(failures, len(s)-1)]
	fifth := int64(base / 5)
	return base - time.Duration(fifth) + time.Duration(secret.Int63()%(2*fifth+1))
}

// retryAfter reads a Retry-After, in seconds or as a date (RFC 9110 §10.2.3).
func retryAfter(header string, now time.Time) (wait time.Duration, ok bool) {
	if header == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(wait, leastWait), mostWait), true
}
