package token

import (
	"net/netip"
	"time"
)

// The writers of answers, tested beside encoding/json.
var (
	AppendResponse      = appendResponse
	AppendIntrospection = appendIntrospection
	AppendDetails       = appendDetails
)

// ParseDetails reads authorization_details.
var ParseDetails = parseDetails

// MaxFailureBuckets bounds the memory of failed authentications.
const MaxFailureBuckets = maxFailureBuckets

// FailureBuckets counts one failure of each source, and gives how many buckets
// are kept then.
func FailureBuckets(now func() time.Time, sources []netip.Addr) int {
	l := limits{now: now}
	for _, source := range sources {
		l.failed("", source)
	}
	return len(l.failures)
}
