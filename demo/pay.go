package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// pay is a service that is called and calls on (scenario 3): within one call it
// is a resource server to the app, and then a relying party of market, with the
// token it got by exchange. Its own ids are wallets, pay:7f… and so on.
type pay struct {
	guard     *rs.Guard
	mapping   *rs.Mapping
	client    *rp.Client
	hears     *subscriber
	asker     *http.Client // calls market for the person whose request is served
	db        *sql.DB
	marketURL string
	trace     *Trace
	logger    *slog.Logger
}

const paySchema = `
CREATE TABLE IF NOT EXISTS wallet (
	id      TEXT PRIMARY KEY,
	balance INTEGER NOT NULL CHECK (balance >= 0)
);
CREATE TABLE IF NOT EXISTS charge (
	number  INTEGER PRIMARY KEY,
	payer   TEXT NOT NULL REFERENCES wallet (id),
	payee   TEXT NOT NULL REFERENCES wallet (id),
	item    INTEGER NOT NULL,
	amount  INTEGER NOT NULL,
	settled BOOLEAN NOT NULL DEFAULT FALSE
)`

// firstBalance is what a new wallet holds, in yen.
const firstBalance = 50_000

// Order asks to pay for an item. The seller is named as the caller knows them.
type Order struct {
	Item   int64  `json:"item"`
	Seller string `json:"seller,omitempty" ppid:"user"`
}

// Receipt tells what is left, and whom was paid.
type Receipt struct {
	Charge  int64  `json:"charge,omitempty"`
	Seller  string `json:"seller,omitempty" ppid:"user"`
	Balance int64  `json:"balance"`
}

func (p *pay) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /charges", p.guard.User("charge", p.user(p.charge)))
	mux.Handle("GET /balance", p.guard.User("balance.read", p.user(p.balance)))
	mux.Handle("GET /statement", p.guard.User("balance.read", p.user(p.statement)))
	mux.HandleFunc("POST /careless", p.careless)
	outer := http.NewServeMux()
	outer.Handle("POST /events", p.hears.handler())
	outer.Handle("/", p.trace.api(partyPay, mux))
	return outer
}

// user turns the caller's subject into the wallet of the person.
func (p *pay) user(handle func(r *http.Request, who caller) (any, error)) rs.UserHandler {
	return func(w http.ResponseWriter, r *http.Request, user *rs.User) {
		wallet, err := p.mapping.Internal(r.Context(), user)
		if err != nil {
			answer(w, p.logger, nil, err)
			return
		}
		p.trace.behind(r.Context(), Person{System: partyPay, Role: "the person", Subject: user.Subject, Sector: user.Subsystem, Internal: wallet})
		value, err := handle(r, caller{user, wallet})
		answer(w, p.logger, value, err)
	}
}

var errWrongSeller = &oauth.Error{Code: "wrong_seller", Description: "The item is sold by somebody else.", Status: http.StatusConflict}

// charge asks market for the price, in the person's name, and moves the money.
// The seller comes in twice, as the app knows them and as market tells pay, and
// both ways must lead to the same wallet.
func (p *pay) charge(r *http.Request, who caller) (any, error) {
	ctx := r.Context()
	var order Order
	if err := readBody(r, &order); err != nil {
		return nil, err
	}
	item, err := p.askMarket(ctx, order.Item)
	if err != nil {
		return nil, err
	}
	named := order.Seller
	if err := p.mapping.In(ctx, who.Subsystem, &order); err != nil {
		return nil, err
	}
	p.trace.behind(ctx, Person{System: partyPay, Role: "the seller", Subject: named, Sector: who.Subsystem, Internal: order.Seller})
	if order.Seller != item.Seller {
		return nil, errWrongSeller
	}
	receipt := &Receipt{Seller: item.Seller}
	receipt.Charge, receipt.Balance, err = p.move(ctx, who.internal, item)
	if err != nil {
		return nil, err
	}
	return receipt, p.mapping.Out(ctx, who.Subsystem, receipt)
}

// askMarket reads an item for the person whose request is served: the client
// exchanges the token the request came with. Market answers in pay's terms, so
// that the seller's subject is pay's own; it is turned into the wallet.
func (p *pay) askMarket(ctx context.Context, id int64) (*Item, error) {
	var item Item
	err := call{client: p.asker, method: http.MethodGet, url: p.marketURL + "/items/" + strconv.FormatInt(id, 10)}.do(ctx, &item)
	if err != nil {
		return nil, onward(partyMarket, err)
	}
	named := item.Seller
	if err := p.mapping.In(ctx, partyPay, &item); err != nil {
		return nil, err
	}
	p.trace.behind(ctx, Person{System: partyPay, Role: "the seller", Subject: named, Sector: partyPay, Internal: item.Seller})
	return &item, nil
}

var errTooLow = &oauth.Error{Code: "balance_too_low", Description: "The balance is too low.", Status: http.StatusConflict}

// move takes the price from the payer and writes the charge that the nightly
// batch will settle.
func (p *pay) move(ctx context.Context, payer string, item *Item) (charge, balance int64, err error) {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("begin the charge: %w", err)
	}
	defer func() { err = errors.Join(err, rollback(tx)) }()
	err = tx.QueryRowContext(ctx,
		`UPDATE wallet SET balance = balance - $1 WHERE id = $2 AND balance >= $1 RETURNING balance`, item.Price, payer).Scan(&balance)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, errTooLow
	}
	if err != nil {
		return 0, 0, fmt.Errorf("take the price: %w", err)
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO charge (payer, payee, item, amount) VALUES ($1, $2, $3, $4) RETURNING number`,
		payer, item.Seller, item.ID, item.Price).Scan(&charge)
	if err != nil {
		return 0, 0, fmt.Errorf("keep the charge: %w", err)
	}
	return charge, balance, tx.Commit()
}

// rollback undoes what was not committed.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

func (p *pay) balance(r *http.Request, who caller) (any, error) {
	var receipt Receipt
	err := p.db.QueryRowContext(r.Context(), `SELECT balance FROM wallet WHERE id = $1`, who.internal).Scan(&receipt.Balance)
	return receipt, err
}

// statement lists what the person bought, with the names of the items. For
// those it must ask market, which it may only for a token that came in with
// "charge": asked with less, it is refused.
func (p *pay) statement(r *http.Request, who caller) (any, error) {
	ctx := r.Context()
	var offered []Item
	err := call{client: p.asker, method: http.MethodGet, url: p.marketURL + "/items"}.do(ctx, &offered)
	if err != nil {
		return nil, onward(partyMarket, err)
	}
	if err := p.mapping.In(ctx, partyPay, &offered); err != nil {
		return nil, err
	}
	bought := []Item{}
	for _, item := range offered {
		var times int
		err := p.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM charge WHERE payer = $1 AND item = $2`, who.internal, item.ID).Scan(&times)
		if err != nil {
			return nil, fmt.Errorf("read charges: %w", err)
		}
		if times > 0 {
			bought = append(bought, item)
		}
	}
	return bought, p.mapping.Out(ctx, who.Subsystem, &bought)
}

// careless is what no service should have: a handler without a guard, which
// hands on whatever token it is given. It is here to show that the
// authorization server refuses such a token even then.
func (p *pay) careless(w http.ResponseWriter, r *http.Request) {
	token, _ := presented(r)
	ctx := rp.WithUserProof(r.Context(), r.Header.Get(oauth.HeaderDPoP))
	_, err := p.client.Exchange(ctx, token, p.marketURL, "items.read")
	if err != nil {
		err = onward(partyMarket, err)
	}
	answer(w, p.logger, Item{}, err)
}

// newWallet makes a wallet when the mapping meets a person for the first time.
func newWallet(ctx context.Context, tx *sql.Tx) (string, error) {
	random := make([]byte, 6)
	rand.Read(random)
	id := "pay:" + hex.EncodeToString(random)
	_, err := tx.ExecContext(ctx, `INSERT INTO wallet (id, balance) VALUES ($1, $2)`, id, firstBalance)
	return id, err
}
