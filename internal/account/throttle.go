package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// Kinds of counters.
const (
	countAccount = "account" // attempts on a person, from unknown devices
	countName    = "name"    // attempts on a name that nobody has
	countDevice  = "device"  // attempts on a person from one known device
	countSource  = "source"  // failures of one network
	countMail    = "mail"    // letters to an address, whether it has an account or not
	countCode    = "code"    // one-time codes of a person who has given the password
)

const (
	fastFailures   = 5                 // without any wait
	longestDelay   = 300 * time.Second // between two attempts after that
	mostFailures   = 100               // in a row that are evaluated at all
	sourceFailures = 50
	sourceWindow   = 10 * time.Minute

	// Failures in a row are forgotten after this time without any. A counter of a
	// name that nobody has only has to look like one of a person.
	memoryOfAccount = 30 * 24 * time.Hour
	memoryOfName    = 24 * time.Hour
)

// counter names one row of throttle.
type counter struct {
	kind    string
	subject string
}

// accountCounter counts attempts on a person, under whatever name they come.
func accountCounter(id string) counter { return counter{countAccount, id} }

// nameCounter counts attempts on a name that nobody has. The name is kept as a
// keyed hash: people mistype their own.
func (p *People) nameCounter(login string) counter {
	mac := hmac.New(sha256.New, p.DeviceKey)
	mac.Write([]byte("name\x00" + login))
	return counter{countName, hex.EncodeToString(mac.Sum(nil)[:16])}
}

// sourceCounter counts failures of a network: a /24, or in IPv6 a /64, which is
// what one customer gets.
func sourceCounter(source netip.Addr) counter {
	source = source.Unmap().WithZone("")
	bits := 64
	if source.Is4() {
		bits = 24
	}
	prefix, err := source.Prefix(bits)
	if err != nil {
		return counter{countSource, "unknown"}
	}
	return counter{countSource, prefix.String()}
}

func (c counter) memory() time.Duration {
	if c.kind == countName {
		return memoryOfName
	}
	return memoryOfAccount
}

// take counts an attempt as failed before it is evaluated, if it may be
// evaluated: after five failures in a row one must wait 1, 2, 4 … 300 seconds,
// and a hundred are evaluated at most. It is one statement, so that of attempts
// sent side by side no more pass than of those sent one after the other.
func (c counter) take(ctx context.Context, tx *db.Tx, now time.Time) (*ThrottledError, error) {
	n, err := tx.Exec(ctx, `INSERT INTO throttle (kind, subject, failures, not_before, expires_at)
		VALUES ($1, $2, 1, $3, $4)
		ON CONFLICT (kind, subject) DO UPDATE SET
			failures = CASE WHEN throttle.expires_at <= excluded.not_before THEN 1 ELSE throttle.failures + 1 END,
			not_before = excluded.not_before + CASE
				WHEN throttle.expires_at <= excluded.not_before THEN 0
				WHEN throttle.failures + 1 < $5 THEN 0
				WHEN throttle.failures + 1 >= $5 + 9 THEN $6
				ELSE 1000 << (throttle.failures + 1 - $5) END,
			expires_at = excluded.expires_at
		WHERE throttle.expires_at <= excluded.not_before
			OR (throttle.not_before <= excluded.not_before AND throttle.failures < $7)`,
		c.kind, c.subject, db.Millis(now), db.Millis(now.Add(c.memory())),
		fastFailures, longestDelay.Milliseconds(), mostFailures)
	if err != nil || n == 1 {
		return nil, err
	}
	return c.refusal(ctx, tx, now)
}

// refusal says how long to wait after take has refused.
func (c counter) refusal(ctx context.Context, tx *db.Tx, now time.Time) (*ThrottledError, error) {
	var failures int
	var notBefore, expires int64
	err := tx.Row(ctx, "SELECT failures, not_before, expires_at FROM throttle WHERE kind = $1 AND subject = $2",
		c.kind, c.subject).Scan(&failures, &notBefore, &expires)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return &ThrottledError{RetryAfter: time.Second}, nil // cleared at this moment by a success
	case err != nil:
		return nil, err
	case c.kind == countSource:
		return &ThrottledError{RetryAfter: db.Time(expires).Sub(now)}, nil
	case failures >= mostFailures:
		return &ThrottledError{RetryAfter: db.Time(expires).Sub(now), KnownDeviceOnly: true}, nil
	}
	return &ThrottledError{RetryAfter: db.Time(notBefore).Sub(now)}, nil
}

// takeSource counts an attempt of a network as failed before it is evaluated,
// if fewer than 50 have failed in its ten minutes.
func (c counter) takeSource(ctx context.Context, tx *db.Tx, now time.Time) (*ThrottledError, error) {
	n, err := tx.Exec(ctx, `INSERT INTO throttle (kind, subject, failures, not_before, expires_at)
		VALUES ($1, $2, 1, $3, $4)
		ON CONFLICT (kind, subject) DO UPDATE SET
			failures = CASE WHEN throttle.expires_at <= excluded.not_before THEN 1 ELSE throttle.failures + 1 END,
			expires_at = CASE WHEN throttle.expires_at <= excluded.not_before THEN excluded.expires_at ELSE throttle.expires_at END
		WHERE throttle.expires_at <= excluded.not_before OR throttle.failures < $5`,
		c.kind, c.subject, db.Millis(now), db.Millis(now.Add(sourceWindow)), sourceFailures)
	if err != nil || n == 1 {
		return nil, err
	}
	return c.refusal(ctx, tx, now)
}

// giveBack takes one failure off: the attempt succeeded, or was not evaluated.
func (c counter) giveBack(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE throttle SET failures = failures - 1 WHERE kind = $1 AND subject = $2 AND failures > 0",
		c.kind, c.subject)
	return err
}

// clear ends the row of failures.
func (c counter) clear(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, "DELETE FROM throttle WHERE kind = $1 AND subject = $2", c.kind, c.subject)
	return err
}

// exhausted reports whether no further attempt will be evaluated.
func (c counter) exhausted(ctx context.Context, tx *db.Tx, now time.Time) (bool, error) {
	var one int
	err := tx.Row(ctx, "SELECT 1 FROM throttle WHERE kind = $1 AND subject = $2 AND failures >= $3 AND expires_at > $4",
		c.kind, c.subject, mostFailures, db.Millis(now)).Scan(&one)
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// sweepBatch is how many rows one transaction of Sweep removes.
const sweepBatch = 500

// Sweep removes counters and challenges that have run out, in small batches.
func (p *People) Sweep(ctx context.Context) error {
	for _, statement := range []string{
		"DELETE FROM throttle WHERE (kind, subject) IN (SELECT kind, subject FROM throttle WHERE expires_at <= $1 LIMIT $2)",
		"DELETE FROM account_link WHERE hash IN (SELECT hash FROM account_link WHERE expires_at <= $1 LIMIT $2)",
		"DELETE FROM used_challenge WHERE id IN (SELECT id FROM used_challenge WHERE expires_at <= $1 LIMIT $2)",
	} {
		if err := p.sweep(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (p *People) sweep(ctx context.Context, statement string) error {
	for {
		var n int64
		err := p.DB.Update(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(ctx, statement, db.Millis(p.Now()), sweepBatch)
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
