package event

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/outgoing"
)

// Waiting times before a delivery is tried again, the last one repeated. Fast
// are those of a receiver that is down, slow of one that does not want us: its
// owner has to change something first.
var (
	fastSchedule = []time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
	slowSchedule = []time.Duration{10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}
)

const (
	// backOffAfter failures one after the other, over all people, the receiver
	// counts as down: one delivery at a time asks whether it is back.
	backOffAfter = 5
	// probeSteps of the fast schedule, at most ten minutes apart, are for that:
	// a receiver that is back should not wait for its backlog.
	probeSteps = 4
	// pauseAfter is how long a receiver may not want us.
	pauseAfter    = 24 * time.Hour
	maxRetryAfter = 24 * time.Hour
)

func after(schedule []time.Duration, step int) time.Duration {
	return jitter(schedule[min(max(step, 0), len(schedule)-1)])
}

// jitter spreads what failed together by a fifth, so that it does not come
// again together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*0.2*float64(d))
}

// verdict is what an attempt says about the delivery and about its receiver.
type verdict struct {
	state string // pending: try again
	fault string

	sent       bool // the receiver was asked
	failed     bool // it did not answer as one that works
	slow       bool // it answered that it does not want us
	retryAfter time.Duration
	pause      string // the reason to pause the subscription for
	hold       bool   // not the receiver's doing: the credential could not be had
}

// judge reads the answer to a delivery (RFC 8935 §2.3, §2.4; docs/events.md).
func judge(response *http.Response, err error, now time.Time) verdict {
	if err != nil {
		return verdict{sent: true, state: pending, failed: true, fault: short(outgoing.Detail(err))}
	}
	status := response.StatusCode
	fault := "answered " + strconv.Itoa(status)
	switch {
	case status == http.StatusOK, status == http.StatusAccepted, status == http.StatusNoContent:
		return verdict{sent: true, state: done}
	case status == http.StatusBadRequest:
		return verdict{sent: true, state: dead, fault: fault + refusalIn(response)}
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return verdict{sent: true, state: pending, failed: true, fault: fault, retryAfter: retryAfterOf(response.Header, now)}
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooEarly:
		return verdict{sent: true, state: pending, failed: true, slow: true, fault: fault}
	}
	// All else is a receiver in trouble; a redirect is not followed and counts
	// so as well.
	return verdict{sent: true, state: pending, failed: true, fault: fault}
}

// refusalIn is what a receiver says of an event that it will never take
// (RFC 8935 §2.4), to be kept with the dead letter.
func refusalIn(response *http.Response) string {
	body, err := outgoing.ReadBody(response)
	var refusal Refusal
	if err != nil || json.Unmarshal(body, &refusal) != nil || refusal.Code == "" {
		return ""
	}
	return short(fmt.Sprintf(": %s: %s", refusal.Code, refusal.Description))
}

// short makes a text of another's fit for a row and a log line.
func short(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '.'
		}
		return c
	}, text)
	return text[:min(len(text), 300)]
}

// retryAfterOf reads Retry-After (RFC 9110 §10.2.3), up to a day.
func retryAfterOf(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
