package load

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"sync"
	"time"
)

// Op is what a request was for.
type Op string

const (
	SignIn     Op = "sign-in"
	Authorize  Op = "authorize" // with a session that is there
	Redeem     Op = "redeem"
	Refresh    Op = "refresh"
	Exchange   Op = "exchange"
	Introspect Op = "introspect"
	Revoke     Op = "revoke"
	Service    Op = "client-credentials"
	Assertion  Op = "client-assertion"
	Fetch      Op = "jwks"
)

// NeedsDatabase reports whether the server must write or read its database for it.
func (o Op) NeedsDatabase() bool {
	switch o {
	case SignIn, Authorize, Redeem, Refresh, Revoke, Assertion:
		return true
	case Exchange, Introspect, Service, Fetch:
	}
	return false
}

// Outcome is what came of a request, as who sent it saw it.
type Outcome string

const (
	OK          Outcome = "ok"
	Refused     Outcome = "refused"     // 4xx, or introspected as not active
	Unavailable Outcome = "unavailable" // 503 with Retry-After, or nobody accepted the connection
	Unknown     Outcome = "unknown"     // the connection ended before an answer
	Wrong       Outcome = "wrong"       // any other answer
)

// Record is one request. Times are real, from the start of the run; of codes and
// tokens there are hashes only.
type Record struct {
	Op      Op            `json:"op"`
	Replica string        `json:"replica"`
	Person  int           `json:"person"`
	Client  string        `json:"client,omitempty"`
	Sector  string        `json:"sector,omitempty"`  // in which Subject is
	Subject string        `json:"subject,omitempty"` // in the answer
	Family  string        `json:"family,omitempty"`  // of refresh tokens: the hash of its code
	In      string        `json:"in,omitempty"`      // code or refresh token sent
	Out     string        `json:"out,omitempty"`     // refresh token received
	Start   time.Duration `json:"start"`
	End     time.Duration `json:"end"`
	Outcome Outcome       `json:"outcome"`
	Said    string        `json:"said,omitempty"`  // status and error
	Fault   string        `json:"fault,omitempty"` // what is wrong with an answer that was OK
}

// Journal keeps the records of a run.
type Journal struct {
	began   time.Time
	mu      sync.Mutex
	records []Record
}

// NewJournal starts one; times count from began.
func NewJournal(began time.Time) *Journal { return &Journal{began: began} }

func (j *Journal) now() time.Duration { return time.Since(j.began) }

func (j *Journal) write(r Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, r)
}

// Records gives all that were written.
func (j *Journal) Records() []Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Record(nil), j.records...)
}

// Since gives those that were written after the first n.
func (j *Journal) Since(n int) []Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Record(nil), j.records[n:]...)
}

// Len is how many there are.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.records)
}

// Save writes them into a file, one JSON object a line.
func (j *Journal) Save(path string) error {
	file, err := os.Create(path) //nolint:gosec // in the directory of the run
	if err != nil {
		return err
	}
	defer file.Close()
	encoder := json.NewEncoder(file)
	for _, r := range j.Records() {
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	return file.Close()
}

// digest stands for a code or token in records.
func digest(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:8])
}
