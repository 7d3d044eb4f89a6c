package event_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// ItemSold is the data of an event, as the publisher has it: the buyer by its
// internal id. The tag has it sent as each receiver knows the buyer.
type ItemSold struct {
	Item  string `json:"item"`
	Buyer string `json:"buyer" ppid:"user"`
}

// A publisher: the event is written in the transaction of the sale, and told to
// all who subscribed.
func ExamplePublisher() {
	client, users, db, issuer, end := exampleMarket()
	defer end()
	ctx, cancel := context.WithCancel(context.Background())

	publisher := &event.Publisher{
		Client:   client, // of rp.Discover
		Mapping:  users,
		Outbox:   &event.SQLOutbox{DB: db, Dialect: event.SQLite},
		Audience: "https://api.market.example",
		Types:    map[string]any{"item.sold": ItemSold{}},
		Key:      []byte("32 random bytes from a secret..."),
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, // where this example's receiver is
		RootCAs:  testRoots(),
	}
	if err := publisher.Outbox.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	told, endReceiver := exampleReceiver(publisher, issuer)
	defer endReceiver()

	running := make(chan error)
	go func() { running <- publisher.Run(ctx) }()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	// ... the sale itself, through tx ...
	err = publisher.Publish(ctx, tx, event.Occurrence{
		Type: "item.sold", User: "member-alice", Data: ItemSold{Item: "a lamp", Buyer: "member-bob"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}

	fmt.Println(<-told)
	cancel()
	fmt.Println(<-running)
	// Output:
	// {"item":"a lamp","buyer":"bob.crypto"}
	// <nil>
}

// Receivers register their webhooks at an API of the publisher, with a token of
// their own that holds its scope.
func ExamplePublisher_Subscriptions() {
	var publisher *event.Publisher
	guard := &rs.Guard{} // of rs.New

	mux := http.NewServeMux()
	mux.Handle("/event-subscriptions/", publisher.Subscriptions(guard, "events"))
}

// What a receiver refused or did not take for three days can be looked at and
// sent again.
func ExampleSQLOutbox_Resend() {
	var outbox *event.SQLOutbox
	ctx := context.Background()

	letters, err := outbox.DeadLetters(ctx, 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, letter := range letters {
		fmt.Println(letter.Subsystem, letter.Type, letter.EventID, letter.Fault)
		if _, err := outbox.Resend(ctx, letter.Subscription, letter.Seq); err != nil {
			log.Fatal(err)
		}
	}
}

// Software of a receiver that is not the Receiver of this package.
func ExampleVerifySignature() {
	secrets := []string{"whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"} // from registering

	http.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "too large", http.StatusBadRequest)
			return
		}
		if err := event.VerifySignature(secrets, r.Header, body, time.Now()); err != nil {
			http.Error(w, "not signed by the publisher", http.StatusBadRequest)
			return
		}
		// Now the event credential in Authorization: it says who published what
		// about whom.
		w.WriteHeader(http.StatusAccepted)
	})
}

// exampleMarket is the subsystem market with its users and its database.
func exampleMarket() (client *rp.Client, users *rs.Mapping, db *sql.DB, issuer *issuertest.Issuer, end func()) {
	issuer = issuertest.New()
	client, err := rp.Discover(context.Background(), rp.Config{
		Issuer: issuer.URL, ClientID: "market.backend", Secret: issuertest.Secret, Now: issuer.Clock.Now,
	})
	if err != nil {
		log.Fatal(err)
	}
	directory, err := os.MkdirTemp("", "market")
	if err != nil {
		log.Fatal(err)
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(directory, "market.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		log.Fatal(err)
	}
	return client, &rs.Mapping{Client: client, Store: namedMembers{}}, db, issuer, func() {
		issuer.Close()
		if err := errors.Join(db.Close(), os.RemoveAll(directory)); err != nil {
			log.Print(err)
		}
	}
}

// namedMembers knows alice as member-alice. A real store is rs.SQLStore.
type namedMembers struct{}

func (namedMembers) Internal(context.Context, []string) (map[string]string, error) { return nil, nil }

func (namedMembers) Add(context.Context, string) (string, error) { return "", errors.New("nobody new") }

func (namedMembers) Subjects(_ context.Context, ids []string) (map[string]string, error) {
	subjects := make(map[string]string)
	for _, id := range ids {
		subjects[id] = strings.TrimPrefix(id, "member-") + ".market"
	}
	return subjects, nil
}

// exampleReceiver is the subsystem crypto, which subscribes with its webhook.
func exampleReceiver(publisher *event.Publisher, issuer *issuertest.Issuer) (<-chan string, func()) {
	told := make(chan string, 1)
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			log.Fatal(err)
		}
		if r.Header.Get("Authorization") == "" {
			w.Write(body) // the challenge, at verification
			return
		}
		told <- string(body)
	}))
	guard, err := rs.New(context.Background(), rs.Config{Issuer: issuer.URL, Audience: publisher.Audience, Now: issuer.Clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	api := publisher.Subscriptions(guard, "events")
	post := func(path, body string) (answer struct{ ID string }) {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+issuer.AccessToken(issuer.ServiceClaims("crypto.backend", publisher.Audience, "events")))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		api.ServeHTTP(recorder, request)
		if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || recorder.Code >= 300 {
			log.Fatal(recorder.Code, recorder.Body)
		}
		return answer
	}
	post("/"+post("/", `{"url":"`+hook.URL+`","types":["item.sold"]}`).ID+"/verify", "")
	return told, hook.Close
}
