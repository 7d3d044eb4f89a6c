package demo

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// subscriber is the side of a system that hears of events: pay, crypto and the
// partner each have one. It keeps what it was told beside the system's own data,
// under the system's own id of the person.
type subscriber struct {
	party    string
	receiver *event.Receiver
	client   *rp.Client // asks market for the subscription
	db       *sql.DB
	trace    *Trace
	url      string // where the events come in
	soldURI  string
}

const noticeSchema = `
CREATE TABLE IF NOT EXISTS notice (
	event TEXT PRIMARY KEY,
	owner TEXT NOT NULL,
	title TEXT NOT NULL,
	price INTEGER NOT NULL
)`

// subscriber makes what pay, crypto and the partner have alike.
func (g *Group) subscriber(ctx context.Context, party string, client *rp.Client, config event.Config) (*subscriber, error) {
	db := g.databases[party]
	if _, err := db.ExecContext(ctx, noticeSchema); err != nil {
		return nil, fmt.Errorf("make the table of notices: %w", err)
	}
	inbox := &event.SQLInbox{DB: db, Dialect: event.SQLite}
	if err := inbox.Migrate(ctx); err != nil {
		return nil, err
	}
	config.Issuer, config.Audience, config.Inbox = g.Issuer(), party, inbox
	config.Log = slog.New(slog.DiscardHandler) // what is refused is on the page
	config.Publishers = map[string]string{g.urls[partyMarket]: partyMarket}
	receiver, err := event.NewReceiver(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &subscriber{
		party: party, receiver: receiver, client: client, db: db, trace: g.trace,
		url: g.urls[party] + "/events", soldURI: g.urls[partyMarket] + "/events/" + eventSold,
	}
	receiver.Handle(s.soldURI, s.sold)
	return s, nil
}

// handler is where events come in.
func (s *subscriber) handler() http.Handler { return s.trace.told(s.party, s.receiver) }

// sold keeps that an item of one of the system's own people was sold. Keeping it
// and marking the event as handled are one transaction.
func (s *subscriber) sold(ctx context.Context, tx *sql.Tx, e *event.Event) error {
	var sale Sale
	if err := e.Decode(&sale); err != nil {
		return err
	}
	s.trace.behind(ctx, Person{System: s.party, Role: "the seller", Subject: e.Subject, Sector: s.party, Internal: e.User})
	_, err := tx.ExecContext(ctx, `INSERT INTO notice (event, owner, title, price) VALUES ($1, $2, $3, $4)`, e.ID, e.User, sale.Title, sale.Price)
	return err
}

// notices counts what was kept about one of the system's people.
func (s *subscriber) notices(ctx context.Context, owner string) (n int, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM notice WHERE owner = $1`, owner).Scan(&n)
	return n, err
}

// subscription is how market's API describes one (event.Publisher.Subscriptions).
type subscription struct {
	ID     string   `json:"id,omitempty"`
	URL    string   `json:"url,omitempty"`
	Types  []string `json:"types,omitempty"`
	State  string   `json:"state,omitempty"`
	Secret string   `json:"secret,omitempty"`
}

// subscribe registers the webhook at market, with a token of the system's own,
// and proves that it is its own. One of an earlier run is replaced: its secret
// was kept nowhere.
func (s *subscriber) subscribe(ctx context.Context, marketURL string) error {
	at := marketURL + "/event-subscriptions/"
	market := s.client.ServiceClient(marketURL, "events")
	var before struct {
		Subscriptions []subscription `json:"subscriptions"`
	}
	if err := (call{client: market, method: http.MethodGet, url: at}).do(ctx, &before); err != nil {
		return fmt.Errorf("list subscriptions: %w", err)
	}
	for _, old := range before.Subscriptions {
		if err := (call{client: market, method: http.MethodDelete, url: at + old.ID}).do(ctx, nil); err != nil {
			return fmt.Errorf("remove a subscription: %w", err)
		}
	}
	var made subscription
	asked := subscription{URL: s.url, Types: []string{eventSold}}
	if err := (call{client: market, method: http.MethodPost, url: at, body: asked}).do(ctx, &made); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	s.receiver.SetSecrets(made.Secret)
	if err := (call{client: market, method: http.MethodPost, url: at + made.ID + "/verify"}).do(ctx, &made); err != nil {
		return fmt.Errorf("verify the subscription: %w", err)
	}
	if made.State != "active" {
		return fmt.Errorf("the subscription is %s", made.State)
	}
	return nil
}

// follower hears of the platform's own events, so that the guard of its service
// refuses the tokens of a session as soon as it has ended.
type follower struct {
	client   *rp.Client
	receiver *event.Receiver
	stream   string
}

// follower makes the stream of a service, unless there is one of an earlier run.
func (g *Group) follower(ctx context.Context, party string, client *rp.Client, guard *rs.Guard, mapping *rs.Mapping) (*follower, error) {
	receiver, err := event.NewReceiver(ctx, event.Config{
		Issuer: g.Issuer(), Audience: party, Guard: guard, Mapping: mapping, Log: g.logger,
	})
	if err != nil {
		return nil, err
	}
	stream, err := (&event.Streams{Client: client}).Ensure(ctx, event.Stream{Delivery: event.Delivery{Method: oauth.DeliveryPoll}})
	if err != nil {
		return nil, err
	}
	return &follower{client, receiver, stream.ID}, nil
}

func (f *follower) run(ctx context.Context) error { return f.receiver.Poll(ctx, f.client, f.stream) }

// typeName is the last part of an event type, for titles.
func typeName(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }
