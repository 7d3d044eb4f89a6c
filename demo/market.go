package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// market is the core (scenario 3). Inside it knows members by its own ids,
// M-100001 and so on; to callers it names them as each caller knows them. The
// mapping turns one into the other at the edge of every call.
type market struct {
	client    *rp.Client
	guard     *rs.Guard
	mapping   *rs.Mapping
	publisher *event.Publisher
	db        *sql.DB
	trace     *Trace
	logger    *slog.Logger
}

const marketSchema = `
CREATE TABLE IF NOT EXISTS member (number INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS item (
	id     INTEGER PRIMARY KEY,
	seller TEXT NOT NULL,
	title  TEXT NOT NULL,
	price  INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sale (item INTEGER PRIMARY KEY REFERENCES item (id));
CREATE TABLE IF NOT EXISTS settlement (
	reference TEXT PRIMARY KEY,
	seller    TEXT NOT NULL,
	buyer     TEXT NOT NULL,
	amount    INTEGER NOT NULL,
	told_by   TEXT NOT NULL
)`

// Item is something for sale. On the wire the seller is named as the caller
// knows them; inside, by market's own id.
type Item struct {
	ID     int64  `json:"id"`
	Title  string `json:"title"`
	Price  int64  `json:"price"`
	Seller string `json:"seller" ppid:"user"`
}

// eventSold is the one type of event that market publishes.
const eventSold = "item.sold"

// Sale is what market tells others of an item that was sold. Whose it was is
// told by the event itself.
type Sale struct {
	Item  int64  `json:"item"`
	Title string `json:"title"`
	Price int64  `json:"price"`
}

// Settlement is one sale or payout to be settled, told by another system.
type Settlement struct {
	Reference string `json:"reference"`
	Seller    string `json:"seller" ppid:"user,required"`
	Buyer     string `json:"buyer,omitempty" ppid:"user"`
	Amount    int64  `json:"amount"`
}

// Settled says how many of the settlements sent were new.
type Settled struct {
	Count int `json:"count"`
}

func (m *market) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /items", m.guard.User("items.read", m.user(m.list)))
	mux.Handle("GET /items/mine", m.guard.User("items.read", m.user(m.mine)))
	mux.Handle("GET /items/{id}", m.guard.User("items.read", m.user(m.item)))
	mux.Handle("POST /items", m.guard.User("items.write", m.user(m.offer)))
	mux.Handle("POST /items/{id}/sale", m.guard.User("items.write", m.user(m.sell)))
	mux.Handle("POST /settlements", m.guard.Service("settle", m.settle))
	mux.Handle("/event-subscriptions/", m.publisher.Subscriptions(m.guard, "events"))
	return m.trace.api(partyMarket, mux)
}

// caller is the person who calls, with market's own id of them.
type caller struct {
	*rs.User
	internal string
}

// user turns the caller's subject into market's own id on the way in, and the
// ids in the answer into the caller's on the way out.
func (m *market) user(handle func(context.Context, *http.Request, caller) (any, error)) rs.UserHandler {
	return func(w http.ResponseWriter, r *http.Request, user *rs.User) {
		value, err := m.serve(r, user, handle)
		answer(w, m.logger, value, err)
	}
}

func (m *market) serve(r *http.Request, user *rs.User, handle func(context.Context, *http.Request, caller) (any, error)) (any, error) {
	ctx := r.Context()
	internal, err := m.mapping.Internal(ctx, user)
	if err != nil {
		return nil, err
	}
	m.trace.behind(ctx, Person{System: partyMarket, Role: "the person", Subject: user.Subject, Sector: user.Subsystem, Internal: internal})
	value, err := handle(ctx, r, caller{user, internal})
	if err != nil {
		return nil, err
	}
	return value, m.mapping.Out(ctx, user.Subsystem, value)
}

func (m *market) list(ctx context.Context, _ *http.Request, _ caller) (any, error) {
	return m.items(ctx, `SELECT id, title, price, seller FROM item WHERE id NOT IN (SELECT item FROM sale) ORDER BY id LIMIT 50`)
}

func (m *market) mine(ctx context.Context, _ *http.Request, who caller) (any, error) {
	return m.items(ctx, `SELECT id, title, price, seller FROM item WHERE seller = $1 AND id NOT IN (SELECT item FROM sale) ORDER BY id LIMIT 50`, who.internal)
}

func (m *market) items(ctx context.Context, query string, args ...any) (*[]Item, error) {
	rows, err := m.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	defer rows.Close()
	items := []Item{}
	for rows.Next() {
		var item Item
		if err := rows.Scan(&item.ID, &item.Title, &item.Price, &item.Seller); err != nil {
			return nil, fmt.Errorf("read an item: %w", err)
		}
		items = append(items, item)
	}
	return &items, rows.Err()
}

func (m *market) item(ctx context.Context, r *http.Request, _ caller) (any, error) {
	var item Item
	err := m.db.QueryRowContext(ctx, `SELECT id, title, price, seller FROM item WHERE id = $1`, r.PathValue("id")).
		Scan(&item.ID, &item.Title, &item.Price, &item.Seller)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &oauth.Error{Code: "unknown_item", Description: "No such item is for sale.", Status: http.StatusNotFound}
	}
	return &item, err
}

func (m *market) offer(ctx context.Context, r *http.Request, who caller) (any, error) {
	var item Item
	if err := readBody(r, &item); err != nil {
		return nil, err
	}
	item.Seller = who.internal
	err := m.db.QueryRowContext(ctx, `INSERT INTO item (seller, title, price) VALUES ($1, $2, $3) RETURNING id`,
		item.Seller, item.Title, item.Price).Scan(&item.ID)
	if err != nil {
		return nil, fmt.Errorf("keep the item: %w", err)
	}
	return &item, nil
}

// sell notes that an item of the caller's own is sold, and tells of it. The sale
// and its event are one transaction: there is never one without the other.
func (m *market) sell(ctx context.Context, r *http.Request, who caller) (_ any, err error) {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin the sale: %w", err)
	}
	defer func() { err = errors.Join(err, rollback(tx)) }()
	var sale Sale
	err = tx.QueryRowContext(ctx, `INSERT INTO sale (item) SELECT id FROM item WHERE id = $1 AND seller = $2
		AND id NOT IN (SELECT item FROM sale) RETURNING item`, r.PathValue("id"), who.internal).Scan(&sale.Item)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNotForSale
	}
	if err != nil {
		return nil, fmt.Errorf("keep the sale: %w", err)
	}
	err = tx.QueryRowContext(ctx, `SELECT title, price FROM item WHERE id = $1`, sale.Item).Scan(&sale.Title, &sale.Price)
	if err != nil {
		return nil, fmt.Errorf("read the item: %w", err)
	}
	if err := m.publisher.Publish(ctx, tx, event.Occurrence{Type: eventSold, User: who.internal, Data: sale}); err != nil {
		return nil, err
	}
	return &sale, tx.Commit()
}

var errNotForSale = &oauth.Error{Code: "unknown_item", Description: "You have no such item for sale.", Status: http.StatusNotFound}

// settle takes settlements from another system that speaks for itself: pay's
// nightly batch, or crypto. People are named as that system knows them.
func (m *market) settle(w http.ResponseWriter, r *http.Request, service *rs.Service) {
	count, err := m.keepSettlements(r, service)
	answer(w, m.logger, Settled{Count: count}, err)
}

func (m *market) keepSettlements(r *http.Request, service *rs.Service) (count int, err error) {
	ctx := r.Context()
	var told []Settlement
	if err := readBody(r, &told); err != nil {
		return 0, err
	}
	turned := append([]Settlement(nil), told...)
	if err := m.mapping.In(ctx, service.Subsystem, &turned); err != nil {
		return 0, err
	}
	for i, one := range turned {
		m.trace.behind(ctx, Person{System: partyMarket, Role: "the seller", Subject: told[i].Seller, Sector: service.Subsystem, Internal: one.Seller})
		m.trace.behind(ctx, Person{System: partyMarket, Role: "the buyer", Subject: told[i].Buyer, Sector: service.Subsystem, Internal: one.Buyer})
		kept, err := m.db.ExecContext(ctx, `INSERT INTO settlement (reference, seller, buyer, amount, told_by)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (reference) DO NOTHING`,
			one.Reference, one.Seller, one.Buyer, one.Amount, service.Subsystem)
		if err != nil {
			return count, fmt.Errorf("keep a settlement: %w", err)
		}
		rows, err := kept.RowsAffected()
		if err != nil {
			return count, err
		}
		count += int(rows)
	}
	return count, nil
}

// newMember makes a member when the mapping meets a person for the first time.
func newMember(ctx context.Context, tx *sql.Tx) (string, error) {
	var number int64
	err := tx.QueryRowContext(ctx, `INSERT INTO member DEFAULT VALUES RETURNING number`).Scan(&number)
	return fmt.Sprintf("M-%06d", 100_020+number), err
}
