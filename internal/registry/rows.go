package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// revision is a row of registry_revision.
type revision struct {
	id       int64
	document string
}

// newestRevision reads the document that holds. Its id is 0 where no group was
// applied yet.
func newestRevision(ctx context.Context, tx *db.Tx) (revision, error) {
	var r revision
	err := tx.Row(ctx, "SELECT id, document FROM registry_revision ORDER BY id DESC LIMIT 1").Scan(&r.id, &r.document)
	if errors.Is(err, db.ErrNotFound) {
		return revision{}, nil
	}
	return r, err
}

// group reads the document; nil where there is none.
func (r revision) group() (*Group, error) {
	if r.id == 0 {
		return nil, nil //nolint:nilnil // no group was applied yet, which is no fault
	}
	group := new(Group)
	if err := json.Unmarshal([]byte(r.document), group); err != nil {
		return nil, fmt.Errorf("registry: document of revision %d: %w", r.id, err)
	}
	return group, nil
}

// writeRevision adds a document. Two writers of the same revision conflict.
func writeRevision(ctx context.Context, tx *db.Tx, r revision, at int64, by string) error {
	_, err := tx.Exec(ctx, "INSERT INTO registry_revision (id, document, applied_at, applied_by) VALUES ($1, $2, $3, $4)",
		r.id, r.document, at, by)
	return err
}

// readSectors reads all sectors by name.
func readSectors(ctx context.Context, tx *db.Tx) (map[string]Sector, error) {
	rows, err := tx.Rows(ctx, "SELECT name, id, gen, former_gen, former_until, rekeyed_at FROM sector")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	sectors := map[string]Sector{}
	for rows.Next() {
		var s Sector
		var until, rekeyed int64
		if err := rows.Scan(&s.Name, &s.ID, &s.Gen, &s.Former, &until, &rekeyed); err != nil {
			return nil, err
		}
		if s.Former > 0 {
			s.FormerUntil, s.RekeyedAt = db.Time(until), db.Time(rekeyed)
		}
		sectors[s.Name] = s
	}
	return sectors, rows.Err()
}

// writeSector adds a sector, unless there is one of that name.
func writeSector(ctx context.Context, tx *db.Tx, s Sector, at int64) error {
	_, err := tx.Exec(ctx, "INSERT INTO sector (name, id, gen, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING",
		s.Name, s.ID, s.Gen, at)
	return err
}

// rekeySector gives a sector a later generation, unless it has that already or
// subjects of another one are taken yet.
func rekeySector(ctx context.Context, tx *db.Tx, s Sector, now time.Time) (done bool, err error) {
	n, err := tx.Exec(ctx, `UPDATE sector SET gen = $1, former_gen = gen, former_until = $2, rekeyed_at = $3
		WHERE name = $4 AND gen < $1 AND former_until <= $5`,
		s.Gen, db.Millis(s.FormerUntil), db.Millis(s.RekeyedAt), s.Name, db.Millis(now))
	return n == 1, err
}

// endOverlap has subjects of before a re-keying refused from now on.
func endOverlap(ctx context.Context, tx *db.Tx, name string, now time.Time) (done bool, err error) {
	n, err := tx.Exec(ctx, "UPDATE sector SET former_until = $1 WHERE name = $2 AND former_until > $1", db.Millis(now), name)
	return n == 1, err
}

// readRealm reads the id of the realm; empty where there is none yet.
func readRealm(ctx context.Context, tx *db.Tx) (string, error) {
	var id string
	err := tx.Row(ctx, "SELECT id FROM realm WHERE one = 1").Scan(&id)
	if errors.Is(err, db.ErrNotFound) {
		return "", nil
	}
	return id, err
}

// lockRealm keeps other transactions that call it waiting until this one ends.
func lockRealm(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE realm SET one = 1 WHERE one = 1")
	return err
}

// writeRealm makes the realm, unless another process did.
func writeRealm(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.Exec(ctx, "INSERT INTO realm (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING", id)
	return err
}
