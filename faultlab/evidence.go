package main

import (
	"context"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// page is how many rows are read at a time.
const page = 5000

// gather reads the logs and the database.
func (l *lab) gather(p *publisher) (*evidence, error) {
	e := &evidence{people: len(l.subjects), arrivals: map[string][]arrival{}, ended: map[string]map[string]outbox.State{}}
	var err error
	if e.publications, err = p.log.read(); err != nil {
		return nil, err
	}
	streams := map[string]string{}
	for _, r := range l.receivers {
		if e.arrivals[r.name], err = r.log.read(); err != nil {
			return nil, err
		}
		streams[r.stream] = r.name
		e.ended[r.name] = map[string]outbox.State{}
	}
	err = l.beside(func(a *app.App) error {
		e.expected = func(receiver string, n int) string { return a.Mint.EventID(publisherName, receiver, eventID(n)) }
		return eachDelivery(l.ctx, a.DB, l.receivers, func(d outbox.Delivery) {
			if receiver, ok := streams[d.Stream]; ok {
				e.ended[receiver][d.ID] = d.State
			}
		})
	})
	return e, err
}

// eachDelivery gives all deliveries there are.
func eachDelivery(ctx context.Context, database *db.DB, receivers []*receiver, each func(outbox.Delivery)) error {
	from, after := time.UnixMilli(0), int64(0)
	for {
		var found []outbox.Delivery
		err := database.Read(ctx, func(tx *db.Tx) (err error) {
			found, err = outbox.ListSettled(ctx, tx, from, after, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, d := range found {
			each(d)
			from, after = d.SettledAt, d.Seq
		}
		if len(found) < page {
			break
		}
	}
	for _, r := range receivers {
		err := database.Read(ctx, func(tx *db.Tx) error {
			found, err := outbox.Pending(ctx, tx, r.stream, page)
			for _, d := range found {
				each(d)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waiting is how many deliveries are pending, by receiver.
func (l *lab) waiting() (pending map[string]int64, err error) {
	pending = map[string]int64{}
	err = l.beside(func(a *app.App) error {
		return a.DB.Read(l.ctx, func(tx *db.Tx) error {
			counts, err := outbox.Counts(l.ctx, tx)
			for _, r := range l.receivers {
				pending[r.name] = counts[r.stream].Pending
			}
			return err
		})
	})
	return pending, err
}
