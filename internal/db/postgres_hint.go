package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A writer that has changed a topic notifies the other processes, so that they
// look at the feed at once. It is a hint only: one that is lost, as behind a
// pooler that shares connections, is made up for by the next poll.
const (
	hintChannel  = "sekisho_feed"
	hintLimit    = time.Second
	hintEvery    = 20 * time.Millisecond // at most
	listenCheck  = 30 * time.Second      // that the connection is alive
	listenAgain  = time.Second           // after the first failure
	listenRarely = 30 * time.Second
)

// hint says that a topic has changed. It does not wait.
func (p *postgres) hint() {
	if p == nil {
		return
	}
	select {
	case p.hints <- struct{}{}:
	default: // one is on its way already
	}
}

// startHinting sends hints until the engine closes. Not in the transaction that
// made the change: those which notify commit one after the other.
func (p *postgres) startHinting(pool *sql.DB) {
	p.hinting.Go(func() {
		for {
			select {
			case <-p.hints:
				p.notify(pool)
			case <-p.closing:
				select {
				case <-p.hints: // the last word of a short command
					p.notify(pool)
				default:
				}
				return
			}
			select {
			case <-time.After(hintEvery):
			case <-p.closing:
			}
		}
	})
}

// notify sends one hint, for which nothing waits on a disk or a standby.
func (p *postgres) notify(pool *sql.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), hintLimit)
	defer cancel()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return // the poll makes up for it, here as below
	}
	defer func() { _ = conn.Close() }()
	_ = conn.Raw(func(driver any) error {
		const statements = "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY " + hintChannel + "; COMMIT"
		return driver.(*stdlib.Conn).Conn().PgConn().Exec(ctx, statements).Close()
	})
}

// beside is what runs beside the poll until ctx ends: looking at the other hosts,
// and listening for hints, each of which calls wake.
func (p *postgres) beside(ctx context.Context, wake func()) {
	if p == nil {
		return
	}
	scouting := make(chan struct{})
	go func() { defer close(scouting); p.scouts.run(ctx) }()
	p.listen(ctx, wake)
	<-scouting
}

// listen listens on a connection of its own, and finds another if it is lost.
func (p *postgres) listen(ctx context.Context, wake func()) {
	wait := listenAgain
	for ctx.Err() == nil {
		began := time.Now()
		err := p.listenOnce(ctx, wake)
		if ctx.Err() != nil {
			return
		}
		if wait = min(2*wait, listenRarely); time.Since(began) > listenCheck {
			wait = listenAgain
		}
		p.options.Logger.Debug("listening for hints of changes again; the poll goes on", "in", wait.String(), "cause", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (p *postgres) listenOnce(ctx context.Context, wake func()) error {
	conn, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), hintLimit)
		defer cancel()
		_ = conn.Close(ending) // it only listened
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+hintChannel); err != nil {
		return err
	}
	wake() // what was said before we listened
	for {
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		err := conn.PgConn().WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		switch {
		case err == nil:
			wake()
		case ctx.Err() != nil || !quiet:
			return err
		default:
			if err := alive(ctx, conn); err != nil {
				return err
			}
		}
	}
}

func alive(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, hintLimit)
	defer cancel()
	return conn.Ping(ctx)
}
