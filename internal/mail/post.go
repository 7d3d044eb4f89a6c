package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	topic = "mail"

	claimFor  = 2 * time.Minute // that a process has to send what it has taken
	atOnce    = 20
	lookEvery = 15 * time.Second // for what others have left
	giveUp    = 24 * time.Hour
)

// backoffs are the waits after failures; the last one goes on.
var backoffs = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// Config is what a Post needs. All fields are required.
type Config struct {
	DB     *db.DB
	Key    []byte // 32 bytes; seals what waits
	Send   func(context.Context, Outgoing) error
	Logger *slog.Logger
	Now    func() time.Time
}

// Outgoing is a letter in words, for a mail server.
type Outgoing struct {
	ID      string // the same however often it is tried
	To      string
	Subject string
	Plain   string
	HTML    string
}

// Post takes letters and sends them.
type Post struct {
	config Config
	box    *secret.Box
	wake   chan struct{}
}

// New makes a Post. It sends nothing before Run.
func New(c Config) (*Post, error) {
	box, err := secret.NewBox(c.Key)
	if err != nil {
		return nil, err
	}
	p := &Post{config: c, box: box, wake: make(chan struct{}, 1)}
	c.DB.Watch(topic, func(context.Context) error {
		select {
		case p.wake <- struct{}{}:
		default:
		}
		return nil
	})
	return p, nil
}

// Append writes a letter into the queue, in the transaction that causes it.
func (p *Post) Append(ctx context.Context, tx *db.Tx, l Letter) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	id, now := secret.ID(), db.Millis(p.config.Now())
	_, err = tx.Exec(ctx, "INSERT INTO mail (id, sealed, attempts, next_at, claimed_until, created_at) VALUES ($1, $2, 0, $3, 0, $3)",
		id, p.box.Seal(text, []byte(id)), now)
	if err == nil {
		tx.Changed(topic)
	}
	return err
}

// Run sends letters until ctx ends.
func (p *Post) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		for {
			n, err := p.SendSome(ctx)
			if err != nil && ctx.Err() == nil {
				p.config.Logger.Error("could not look after the mail queue", "cause", err)
			}
			if n < atOnce {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-ticker.C:
		}
	}
}

// waiting is a letter that this process has taken.
type waiting struct {
	id        string
	sealed    []byte
	attempts  int
	createdAt time.Time
}

// SendSome sends what is due, a bounded number, and tells how many it has tried. What a
// mail server does not take is tried again later, and given up after a day.
func (p *Post) SendSome(ctx context.Context) (int, error) {
	taken, err := p.take(ctx)
	if err != nil {
		return 0, err
	}
	for _, w := range taken {
		err := p.send(ctx, w)
		if ctx.Err() != nil {
			return len(taken), ctx.Err() // whoever comes next takes it when the claim has run out
		}
		if err := p.settle(ctx, w, err); err != nil {
			return len(taken), err
		}
	}
	return len(taken), nil
}

// take claims letters that are due: of several processes one gets each.
func (p *Post) take(ctx context.Context) (taken []waiting, err error) {
	now := p.config.Now()
	err = p.config.DB.Update(ctx, func(tx *db.Tx) error {
		taken = nil
		rows, err := tx.Rows(ctx, `UPDATE mail SET claimed_until = $1, attempts = attempts + 1
			WHERE id IN (SELECT id FROM mail WHERE next_at <= $2 AND claimed_until <= $2 ORDER BY next_at LIMIT $3) AND claimed_until <= $2
			RETURNING id, sealed, attempts, created_at`, db.Millis(now.Add(claimFor)), db.Millis(now), atOnce)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var w waiting
			var created int64
			if err := rows.Scan(&w.id, &w.sealed, &w.attempts, &created); err != nil {
				return err
			}
			w.createdAt = db.Time(created)
			taken = append(taken, w)
		}
		return rows.Err()
	})
	return taken, err
}

var errUnreadable = errors.New("mail: a letter in the queue cannot be read")

func (p *Post) send(ctx context.Context, w waiting) error {
	text, err := p.box.Open(w.sealed, []byte(w.id))
	if err != nil {
		return errUnreadable
	}
	var l Letter
	if err := json.Unmarshal(text, &l); err != nil {
		return errUnreadable
	}
	subject, plain, html, err := l.write()
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, claimFor/4)
	defer cancel()
	return p.config.Send(ctx, Outgoing{ID: w.id, To: l.To, Subject: subject, Plain: plain, HTML: html})
}

// settle takes a letter out of the queue that was sent or is given up, and puts any
// other back.
func (p *Post) settle(ctx context.Context, w waiting, failure error) error {
	now := p.config.Now()
	gone := failure == nil || errors.Is(failure, errUnreadable) || now.Sub(w.createdAt) >= giveUp
	if failure != nil {
		p.config.Logger.Warn("a letter was not taken by the mail server", "letter", w.id, "attempt", w.attempts, "given_up", gone, "cause", failure)
	}
	return p.config.DB.Update(ctx, func(tx *db.Tx) error {
		if gone {
			_, err := tx.Exec(ctx, "DELETE FROM mail WHERE id = $1", w.id)
			return err
		}
		wait := backoffs[min(w.attempts, len(backoffs))-1]
		_, err := tx.Exec(ctx, "UPDATE mail SET next_at = $1, claimed_until = 0 WHERE id = $2", db.Millis(now.Add(wait)), w.id)
		return err
	})
}
