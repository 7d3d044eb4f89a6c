package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	requestLife   = 30 * time.Minute
	maxPerBrowser = 5
	sweepBatch    = 1000

	// maxWaiting is how many requests a sweep leaves. Anybody can open sign-in
	// pages and leave them; people who are quick lose nothing by it.
	maxWaiting = 100_000
)

// ticket is the claim of a browser to a waiting request.
type ticket struct {
	handle string // in the page's URL
	owner  []byte // hash of the browser's cookie
}

// insertRequest stores a request for the browser. Of its other requests only the
// newest stay, so that no browser fills the table.
func insertRequest(ctx context.Context, tx *db.Tx, t ticket, request *Request, now time.Time) error {
	text, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	_, err = tx.Exec(ctx, `DELETE FROM signin_request WHERE browser = $1 AND handle NOT IN (
		SELECT handle FROM signin_request WHERE browser = $1 ORDER BY created_at DESC, handle LIMIT $2)`,
		t.owner, maxPerBrowser-1)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO signin_request (handle, browser, request, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5)`,
		secret.Hash(t.handle), t.owner, string(text), db.Millis(now), db.Millis(now.Add(requestLife)))
	return err
}

// loadRequest reads a waiting request of this browser, or gives db.ErrNotFound.
func loadRequest(ctx context.Context, tx *db.Tx, t ticket, now time.Time) (*Request, error) {
	var text string
	err := tx.Row(ctx, `SELECT request FROM signin_request WHERE handle = $1 AND browser = $2 AND expires_at > $3`,
		secret.Hash(t.handle), t.owner, db.Millis(now)).Scan(&text)
	if err != nil {
		tx.Absent()
		return nil, err
	}
	request := new(Request)
	if err := json.Unmarshal([]byte(text), request); err != nil {
		return nil, fmt.Errorf("read the stored request: %w", err)
	}
	return request, nil
}

// saveRequest writes how far the person has come. It reports whether the request
// was still waiting.
func saveRequest(ctx context.Context, tx *db.Tx, t ticket, request *Request) (waiting bool, err error) {
	text, err := json.Marshal(request)
	if err != nil {
		return false, fmt.Errorf("write the request: %w", err)
	}
	rows, err := tx.Exec(ctx, `UPDATE signin_request SET request = $1 WHERE handle = $2 AND browser = $3`,
		string(text), secret.Hash(t.handle), t.owner)
	return rows == 1, err
}

// takeRequest takes a request out of the table. Of several that try, one is told
// it was there.
func takeRequest(ctx context.Context, tx *db.Tx, t ticket) (taken bool, err error) {
	rows, err := tx.Exec(ctx, `DELETE FROM signin_request WHERE handle = $1 AND browser = $2`,
		secret.Hash(t.handle), t.owner)
	return rows == 1, err
}

// insertPushed stores a request that a client has pushed.
func insertPushed(ctx context.Context, tx *db.Tx, requestURI string, request *Request, expires time.Time) error {
	text, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO pushed_request (handle, client, request, expires_at) VALUES ($1, $2, $3, $4)`,
		secret.Hash(requestURI), request.ClientID, string(text), db.Millis(expires))
	return err
}

// readPushed reads a request of this client that may be begun with, or gives
// db.ErrNotFound.
func readPushed(ctx context.Context, tx *db.Tx, requestURI, clientID string, now time.Time) (*Request, error) {
	var text string
	err := tx.Row(ctx, `SELECT request FROM pushed_request WHERE handle = $1 AND client = $2 AND expires_at > $3`,
		secret.Hash(requestURI), clientID, db.Millis(now)).Scan(&text)
	if err != nil {
		tx.Absent()
		return nil, err
	}
	request := new(Request)
	if err := json.Unmarshal([]byte(text), request); err != nil {
		return nil, fmt.Errorf("read the pushed request: %w", err)
	}
	return request, nil
}

// takePushed takes a pushed request out of the table. Of several browsers that
// complete it, one is told it was there.
func takePushed(ctx context.Context, tx *db.Tx, handle []byte) (taken bool, err error) {
	rows, err := tx.Exec(ctx, `DELETE FROM pushed_request WHERE handle = $1`, handle)
	return rows == 1, err
}

// ForgetRequests removes every waiting request, for a database that was restored
// from a backup: a request may have been answered since. Whoever is on such a page
// begins again.
func ForgetRequests(ctx context.Context, tx *db.Tx) (removed int64, err error) {
	for _, statement := range []string{`DELETE FROM signin_request`, `DELETE FROM pushed_request`} {
		n, err := tx.Exec(ctx, statement)
		if err != nil {
			return 0, err
		}
		removed += n
	}
	return removed, nil
}

// Sweep removes expired requests, and the oldest where there is a crowd, in
// batches so that no transaction is long.
func (d *Door) Sweep(ctx context.Context) error {
	var horizon int64
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		horizon, err = sweepHorizon(ctx, tx, d.Now())
		return err
	})
	if err != nil {
		return err
	}
	err = d.sweep(ctx, `DELETE FROM signin_request WHERE handle IN (
		SELECT handle FROM signin_request WHERE expires_at <= $1 LIMIT $2)`, horizon)
	if err != nil {
		return err
	}
	// Whoever began with a pushed request in time may still be about to answer it.
	return d.sweep(ctx, `DELETE FROM pushed_request WHERE handle IN (
		SELECT handle FROM pushed_request WHERE expires_at <= $1 LIMIT $2)`, db.Millis(d.Now().Add(-requestLife)))
}

func (d *Door) sweep(ctx context.Context, statement string, before int64) (err error) {
	for removed := int64(sweepBatch); err == nil && removed == sweepBatch; {
		err = d.DB.Update(ctx, func(tx *db.Tx) (err error) {
			removed, err = tx.Exec(ctx, statement, before, sweepBatch)
			return err
		})
	}
	return err
}

// sweepHorizon is the end of the life of those requests that go: now, or in a
// crowd that of the oldest one too many.
func sweepHorizon(ctx context.Context, tx *db.Tx, now time.Time) (int64, error) {
	var crowded int64
	err := tx.Row(ctx, `SELECT expires_at FROM signin_request ORDER BY expires_at DESC LIMIT 1 OFFSET $1`, maxWaiting).Scan(&crowded)
	if errors.Is(err, db.ErrNotFound) {
		err = nil
	}
	return max(db.Millis(now), crowded), err
}
