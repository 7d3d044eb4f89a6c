package rs_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// example is the guard of the API of market, under a small authorization
// server. In a program the guard is made once, at start.
func example() (issuer *issuertest.Issuer, guard *rs.Guard) {
	issuer = issuertest.New()
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: issuer.URL, Audience: "https://api.market.example", Now: issuer.Clock.Now,
	})
	if err != nil {
		log.Fatal(err)
	}
	return issuer, guard
}

// An API that is called for people.
func ExampleGuard_User() {
	issuer, guard := example()
	defer issuer.Close()

	items := guard.User("items.read", func(w http.ResponseWriter, _ *http.Request, user *rs.User) {
		fmt.Fprintln(w, "items of", user.Subject, "as", user.Subsystem, "calls them")
	})

	person := issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, "items.read"))
	fmt.Print(call(items, "Bearer "+person).Body)
	batch := issuer.AccessToken(issuer.ServiceClaims("pay.backend", market, "items.read"))
	fmt.Println(call(items, "Bearer "+batch).Code)
	// Output:
	// items of alice.market-app as market-app calls them
	// 403
}

// An API that other subsystems call on their own behalf.
func ExampleGuard_Service() {
	issuer, guard := example()
	defer issuer.Close()

	settle := guard.Service("settle", func(w http.ResponseWriter, _ *http.Request, service *rs.Service) {
		fmt.Fprintln(w, "settled for", service.ClientID)
	})

	token := issuer.AccessToken(issuer.ServiceClaims("pay.backend", market, "settle"))
	fmt.Print(call(settle, "Bearer "+token).Body)
	// Output: settled for pay.backend
}

// One address for both, with a function for each: neither can be taken for the
// other.
func ExampleGuard_Either() {
	issuer, guard := example()
	defer issuer.Close()

	items := guard.Either(
		"items.read", func(w http.ResponseWriter, _ *http.Request, user *rs.User) {
			fmt.Fprintln(w, "what", user.Subject, "may see")
		},
		"items.audit", func(w http.ResponseWriter, _ *http.Request, service *rs.Service) {
			fmt.Fprintln(w, "what", service.Subsystem, "may see")
		},
	)

	token := issuer.AccessToken(issuer.ServiceClaims("pay.backend", market, "items.audit"))
	fmt.Print(call(items, "Bearer "+token).Body)
	// Output: what pay may see
}

// A call that came by another way than net/http.
func ExampleGuard_CheckUser() {
	issuer, guard := example()
	defer issuer.Close()

	token := issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, "items.read"))
	user, err := guard.CheckUser(context.Background(), token, "items.read")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Subject)
	// Output: alice.market-app
}

// What goes over the wire names users in the caller's identifiers. The tag
// says which fields do.
type Item struct {
	Name   string `json:"name"`
	Seller string `json:"seller" ppid:"user"`
	Buyer  string `json:"buyer,omitempty" ppid:"user"`
}

// A handler that works with internal ids alone: Internal for the caller, In
// for the users in a request, Out for those in an answer.
func ExampleMapping() {
	issuer, guard := example()
	defer issuer.Close()
	client, err := rp.Discover(context.Background(), rp.Config{Issuer: issuer.URL, ClientID: "market.backend", Secret: issuertest.Secret})
	if err != nil {
		log.Fatal(err)
	}
	users := &rs.Mapping{Client: client, Store: &memory{ids: make(map[string]string)}}

	sold := guard.User("items.read", func(w http.ResponseWriter, r *http.Request, user *rs.User) {
		seller, err := users.Internal(r.Context(), user)
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		answer := []Item{{Name: "a lamp", Seller: seller}} // from the database
		if err := users.Out(r.Context(), user.Subsystem, &answer); err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			log.Print(err)
		}
	})

	token := issuer.AccessToken(issuer.UserClaims("alice", "pay.backend", market, "items.read"))
	fmt.Print(call(sold, "Bearer "+token).Body)
	// Output: [{"name":"a lamp","seller":"alice.pay"}]
}

// Users named in a request.
func ExampleMapping_In() {
	var users *rs.Mapping
	guard := &rs.Guard{} // of New

	http.Handle("POST /items", guard.User("items.write", func(w http.ResponseWriter, r *http.Request, user *rs.User) {
		var item Item
		if err := json.NewDecoder(r.Body).Decode(&item); err != nil {
			http.Error(w, "no item", http.StatusBadRequest)
			return
		}
		err := users.In(r.Context(), user.Subsystem, &item)
		var field *rs.FieldError
		switch {
		case errors.As(err, &field):
			http.Error(w, field.Error(), http.StatusUnprocessableEntity) // rs: field Seller: unknown user
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		default:
			log.Print("offered by ", item.Seller) // now our own internal id
		}
	}))
}

// A mapping in the service's own database. The user is made in the same
// transaction as the pair, exactly once however many calls come at first sight.
func ExampleSQLStore() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:market.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		log.Fatal(err)
	}
	store := &rs.SQLStore{
		DB:      db,
		Dialect: rs.SQLite,
		NewUser: func(ctx context.Context, tx *sql.Tx) (string, error) {
			id := rand.Text()
			_, err := tx.ExecContext(ctx, "INSERT INTO member (id) VALUES ($1)", id)
			return id, err
		},
	}
	if err := store.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	var client *rp.Client // of rp.Discover
	users := &rs.Mapping{Client: client, Store: store}
	_ = users
}
