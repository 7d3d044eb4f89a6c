package event_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// A webhook that hears of sales. The inbox is a table of the subsystem's own
// database, and the work of the handler is done exactly when it is marked there.
func ExampleReceiver() {
	var db *sql.DB // of sql.Open
	ctx := context.Background()

	receiver, err := event.NewReceiver(ctx, event.Config{
		Issuer:   "https://id.market.example",
		Audience: "crypto", // the name of this subsystem
		Inbox:    &event.SQLInbox{DB: db, Dialect: event.PostgreSQL},
	})
	if err != nil {
		log.Print(err)
		return
	}
	receiver.Handle("https://api.market.example/events/item.sold",
		func(ctx context.Context, tx *sql.Tx, e *event.Event) error {
			_, err := tx.ExecContext(ctx, "UPDATE wallet SET coins = coins + 1 WHERE subject = $1", e.Subject)
			return err
		})
	http.Handle("POST /events", receiver)
}

// What a handler sees of an event.
func ExampleEvent_Decode() {
	issuer := issuertest.New()
	defer issuer.Close()
	receiver, err := event.NewReceiver(context.Background(), event.Config{
		Issuer: issuer.URL, Audience: "crypto", Now: issuer.Clock.Now,
	})
	if err != nil {
		log.Fatal(err)
	}

	receiver.Handle(issuertest.ItemSold, func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		var sold struct {
			Item  string `json:"item"`
			Price int    `json:"price"`
		}
		if err := e.Decode(&sold); err != nil {
			return &event.Refusal{Code: event.InvalidRequest, Description: "The data is not of this type of event."}
		}
		fmt.Println(e.Publisher, "says that", e.Subject, "sold", sold.Item, "for", sold.Price)
		return nil
	})

	// A publisher sends this.
	body := `{"item":"a lamp","price":4711}`
	credential := issuer.EventToken(issuer.DeliveryClaims("alice", "crypto", []byte(body)))
	for range 2 { // and again, since it missed the answer
		request := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+credential)
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, request)
		fmt.Println(answer.Code)
	}
	// Output:
	// market says that alice.crypto sold a lamp for 4711
	// 202
	// 202
}

// A subsystem that cannot be reached from outside fetches its events.
func ExampleReceiver_Poll() {
	var receiver *event.Receiver // of NewReceiver, with its handlers
	var client *rp.Client        // of rp.Discover
	ctx := context.Background()  // ends with the program

	go func() {
		streams := &event.Streams{Client: client}
		stream, err := streams.Ensure(ctx, event.Stream{Delivery: event.Delivery{Method: oauth.DeliveryPoll}})
		if err == nil {
			err = receiver.Poll(ctx, client, stream.ID)
		}
		log.Print("no events any more: ", err)
	}()
}

// An API whose guard refuses the tokens of a session as soon as it has ended,
// though they have not expired.
func ExampleConfig_guard() {
	issuer := issuertest.New()
	defer issuer.Close()
	ctx := context.Background()
	guard, err := rs.New(ctx, rs.Config{Issuer: issuer.URL, Audience: "https://api.crypto.example", Now: issuer.Clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	receiver, err := event.NewReceiver(ctx, event.Config{
		Issuer: issuer.URL, Audience: "crypto", Guard: guard, Now: issuer.Clock.Now,
	})
	if err != nil {
		log.Fatal(err)
	}

	claims := issuer.UserClaims("alice", "market-app.web", "https://api.crypto.example", "")
	token := issuer.AccessToken(issuertest.With(claims, map[string]any{"sid": "session-1.market-app"}))
	_, err = guard.CheckUser(ctx, token, "")
	fmt.Println(err)

	// Alice signs out, and the platform pushes this.
	set := issuer.SET(issuer.SessionRevoked("alice", "crypto", "session-1", "market-app"))
	request := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(set))
	request.Header.Set("Content-Type", "application/secevent+jwt")
	receiver.ServeHTTP(httptest.NewRecorder(), request)

	_, err = guard.CheckUser(ctx, token, "")
	fmt.Println(err)
	// Output:
	// <nil>
	// invalid_token: The session or the account behind the token has ended; sign in again.
}

// A webhook's stream at the hub, as it shall be from the start of the program.
func ExampleStreams() {
	var client *rp.Client // of rp.Discover
	ctx := context.Background()
	streams := &event.Streams{Client: client}

	stream, err := streams.Ensure(ctx, event.Stream{
		Delivery: event.Delivery{
			Method: oauth.DeliveryPush, EndpointURL: "https://crypto.example/events",
			Authorization: "Bearer 3VQxH0", // also in Config.Authorization of the receiver
		},
		EventsRequested: []string{oauth.EventSessionRevoked, oauth.EventAccountPurged},
	})
	if err != nil {
		log.Print(err)
		return
	}
	log.Print("events come: ", stream.EventsDelivered)
}
