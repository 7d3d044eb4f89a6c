package rs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// Renewer is a Store whose subjects can be replaced when the authorization server
// has re-keyed this service's sector. SQLStore is one. With another kind of Store,
// people come as new ones once their subjects have changed.
type Renewer interface {
	// Renew gives users known by the subjects that are keys the subjects that are
	// values. A subject that is not there, or has been replaced, is passed over.
	Renew(ctx context.Context, subjects map[string]string) error
}

// notRekeyedFor is how long it is believed that the sector was not re-keyed.
const notRekeyedFor = time.Minute

// renewed finds the internal ids of own subjects that the Store does not know, by
// what they were before the sector was re-keyed, and has the Store know them.
func (m *Mapping) renewed(ctx context.Context, unknown []string) (map[string]string, error) {
	renewer, ok := m.Store.(Renewer)
	if !ok || len(unknown) == 0 || m.notRekeyed() {
		return nil, nil
	}
	answers, err := m.Client.Reissue(ctx, unknown)
	var refused *oauth.Error
	if errors.As(err, &refused) && refused.Code == oauth.InvalidScope {
		m.rekeyed.Store(m.clock().Add(notRekeyedFor).UnixNano())
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("rs: former identifiers: %w", err)
	}
	now := map[string]string{} // by what they were
	for _, answer := range answers {
		if answer.Former != "" {
			now[answer.Former] = answer.Subject
		}
	}
	if len(now) == 0 {
		return nil, nil
	}
	if err := renewer.Renew(ctx, now); err != nil {
		return nil, fmt.Errorf("rs: mapping: %w", err)
	}
	found, err := m.Store.Internal(ctx, unknown)
	if err != nil {
		return nil, fmt.Errorf("rs: mapping: %w", err)
	}
	return found, nil
}

func (m *Mapping) notRekeyed() bool { return m.clock().UnixNano() < m.rekeyed.Load() }

// Reissue replaces the subjects of all users, after the authorization server has
// re-keyed this service's sector, and says how many have changed. It goes on where
// it was interrupted when it is called again, and may run beside requests, which
// renew whom they meet by themselves. Run it before the overlap ends.
func (s *SQLStore) Reissue(ctx context.Context, client *rp.Client) (changed int, err error) {
	for last := ""; ; {
		page, err := s.page(ctx, last)
		if err != nil || len(page) == 0 {
			return changed, err
		}
		last = page[len(page)-1]
		answers, err := client.Reissue(ctx, page)
		if err != nil {
			return changed, fmt.Errorf("rs: issuing identifiers again: %w", err)
		}
		now := map[string]string{}
		for i, answer := range answers {
			if answer.Subject != "" && answer.Subject != page[i] {
				now[page[i]] = answer.Subject
			}
		}
		if err := s.Renew(ctx, now); err != nil {
			return changed, err
		}
		changed += len(now)
	}
}

// page is the subjects that follow one, in their own order.
func (s *SQLStore) page(ctx context.Context, after string) (page []string, err error) {
	rows, err := s.DB.QueryContext(ctx, "SELECT subject FROM sekisho_subject WHERE subject > $1 ORDER BY subject LIMIT $2", after, maxBatch)
	if err != nil {
		return nil, fmt.Errorf("rs: reading subjects: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return nil, fmt.Errorf("rs: reading subjects: %w", err)
		}
		page = append(page, subject)
	}
	return page, rows.Err()
}

// Renew replaces subjects, all in one transaction.
func (s *SQLStore) Renew(ctx context.Context, subjects map[string]string) (err error) {
	if len(subjects) == 0 {
		return nil
	}
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("rs: renewing subjects: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the first error tells more
		}
	}()
	// A user that was made under the new subject in the meantime keeps it.
	const statement = `UPDATE sekisho_subject SET subject = $1 WHERE subject = $2
		AND NOT EXISTS (SELECT 1 FROM sekisho_subject AS other WHERE other.subject = $1)`
	for former, subject := range subjects {
		if _, err := tx.ExecContext(ctx, statement, subject, former); err != nil {
			return fmt.Errorf("rs: renewing a subject: %w", err)
		}
	}
	return tx.Commit()
}
