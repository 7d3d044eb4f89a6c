package rs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

type userID string

type audit struct {
	By string `ppid:"user"`
	At time.Time
}

type bid struct {
	Bidder userID `ppid:"user"`
	Yen    int
}

type node struct {
	Owner string `ppid:"user"`
	Next  *node
}

type order struct {
	ID       string
	Buyer    string  `ppid:"user,required"`
	Agent    *string `ppid:"user"`
	Absent   *string `ppid:"user"`
	Optional string  `ppid:"user"`
	audit
	Watchers []string               `ppid:"user"`
	Pair     [2]string              `ppid:"user"`
	Teams    map[string][]string    `ppid:"user"`
	Scores   map[string]int         `ppid:"user,keys"`
	Roles    map[string]*string     `ppid:"user"`
	Bids     []bid                  // walked
	ByItem   map[string]bid         // copied and put back
	Deep     map[string]map[int]bid // twice
	Best     *bid
	Any      any
	Things   []any
	Ring     *node
	Note     string
	Raw      []byte
	Secret   string `ppid:"-"`
	hidden   bid    // cannot be set and is never sent
}

// fill makes an order in which every user is named by name.
func fill(name func(person string) string) *order {
	agent, writer := name("agent"), name("writer")
	best := &bid{userID(name("best")), 7}
	ring := &node{Owner: name("ring")}
	ring.Next = &node{Owner: name("ring2"), Next: ring}
	return &order{
		ID: "o-1", Buyer: name("buyer"), Agent: &agent, audit: audit{By: name("auditor"), At: time.Unix(1, 0)},
		Watchers: []string{name("w1"), "", name("w1"), name("w2")},
		Pair:     [2]string{name("left"), name("right")},
		Teams:    map[string][]string{"red": {name("r1"), name("r2")}, "none": nil},
		Scores:   map[string]int{name("r1"): 1, name("r2"): 2},
		Roles:    map[string]*string{"writer": &writer, "reader": nil},
		Bids:     []bid{{userID(name("b1")), 1}, {userID(name("b2")), 2}},
		ByItem:   map[string]bid{"i": {userID(name("b3")), 3}},
		Deep:     map[string]map[int]bid{"d": {4: {userID(name("b4")), 4}}},
		Best:     best,
		Any:      bid{userID(name("any")), 5},
		Things:   []any{best, map[string]any{"bid": bid{userID(name("thing")), 6}}, "text", 7, nil},
		Ring:     ring,
		Note:     "by buyer.pay",
		Raw:      []byte("buyer.pay"),
		Secret:   "kept",
		hidden:   bid{userID("nobody"), 1},
	}
}

var compareOrders = cmp.AllowUnexported(order{}, audit{})

func TestInAndOutTurnAWholeValue(t *testing.T) {
	t.Parallel()
	issuer, users := setupMapping(t)
	users.Store = &memory{ids: make(map[string]string)}
	at := func(subsystem string) func(string) string {
		return func(person string) string { return issuertest.Subject(person, subsystem) }
	}
	inside := func(person string) string { return "id of " + person + ".market" }

	value := fill(at("pay"))
	if err := users.In(t.Context(), "pay", value); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fill(inside), value, compareOrders); diff != "" {
		t.Errorf("in: %s", diff)
	}
	if err := users.Out(t.Context(), "market-app", value); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fill(at("market-app")), value, compareOrders); diff != "" {
		t.Errorf("out: %s", diff)
	}
	if batches := issuer.Batches(); len(batches) != 2 || len(batches[0]) != 19 {
		t.Errorf("sent in %d requests: %v", len(batches), batches)
	}
}

func TestInAndOutTurnPlainStrings(t *testing.T) {
	t.Parallel()
	_, users := setupMapping(t)
	users.Store = &memory{ids: make(map[string]string)}
	list := []string{"alice.pay", "", "bob.pay"}
	one := "alice.pay"
	byItem := map[string]string{"item": "bob.pay"}
	for _, v := range []any{&list, &one, &byItem} {
		if err := users.In(t.Context(), "pay", v); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"id of alice.market", "", "id of bob.market"}, list); diff != "" || one != list[0] || byItem["item"] != list[2] {
		t.Errorf("%s %q %v", diff, one, byItem)
	}
}

func TestInNamesTheFieldThatIsNobody(t *testing.T) {
	t.Parallel()
	_, users := setupMapping(t)
	store := &memory{ids: make(map[string]string)}
	users.Store = store
	t.Cleanup(func() { // after all cases
		if len(store.ids) != 0 {
			t.Errorf("values that were refused made %d users", len(store.ids))
		}
	})
	cases := map[string]func(*order){
		"Buyer":         func(o *order) { o.Buyer = "" }, // required
		"Agent":         func(o *order) { *o.Agent = "ghost.pay" },
		"Optional":      func(o *order) { o.Optional = "not a subject" },
		"audit.By":      func(o *order) { o.By = "ghost.pay" },
		"Watchers[2]":   func(o *order) { o.Watchers[2] = "ghost.pay" },
		"Teams[red][1]": func(o *order) { o.Teams["red"][1] = "alice.market-app" },
		"Scores[ghost.pay]": func(o *order) {
			o.Scores["ghost.pay"] = 3
		},
		"Bids[1].Bidder":   func(o *order) { o.Bids[1].Bidder = "ghost.pay" },
		"ByItem[i].Bidder": func(o *order) { o.ByItem["i"] = bid{Bidder: "ghost.pay"} },
	}
	for path, change := range cases {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			subject := func(person string) string { return issuertest.Subject(person, "pay") }
			value, same := fill(subject), fill(subject)
			change(value)
			change(same)
			err := users.In(t.Context(), "pay", value)
			var field *rs.FieldError
			if !errors.As(err, &field) || field.Path != path || !errors.Is(err, rs.ErrUnknownUser) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(same, value, compareOrders); diff != "" {
				t.Errorf("changed though it failed: %s", diff)
			}
		})
	}
}

// An internal id never leaves, whatever becomes of the field.
func TestOutEmptiesWhomTheReceiverDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, users := setupMapping(t)
	users.Store = &memory{ids: map[string]string{"alice.market": "id of alice.market", "ghost.market": "id of ghost.market"}}
	const alice, ghost, stranger = "id of alice.market", "id of ghost.market", "id of nobody else"
	value := &order{
		Buyer: alice, Optional: ghost, Watchers: []string{ghost, alice, stranger},
		Scores: map[string]int{ghost: 1, alice: 2, stranger: 3}, Best: &bid{Bidder: stranger},
	}
	want := &order{
		Buyer: "alice.pay", Watchers: []string{"", "alice.pay", ""},
		Scores: map[string]int{"alice.pay": 2}, Best: &bid{},
	}
	if err := users.Out(t.Context(), "pay", value); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, value, compareOrders); diff != "" {
		t.Error(diff)
	}
	value.Buyer = ghost
	err := users.Out(t.Context(), "pay", value)
	var field *rs.FieldError
	if !errors.As(err, &field) || field.Path != "Buyer" {
		t.Errorf("a required field: got %v", err)
	}
	if err := users.Out(t.Context(), "pay", &order{}); !errors.As(err, &field) || field.Path != "Buyer" {
		t.Errorf("an empty required field: got %v", err)
	}
}

func TestWhatCannotBeTurned(t *testing.T) {
	t.Parallel()
	_, users := setupMapping(t)
	loop := make([]any, 1)
	loop[0] = loop
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"no pointer":    {order{}, "pointer"},
		"nil":           {nil, "pointer"},
		"a nil pointer": {(*order)(nil), "pointer"},
		"a tag on a number": {&struct {
			User int `ppid:"user"`
		}{}, "User"},
		"a tag on an interface": {&struct {
			User any `ppid:"user"`
		}{}, "User"},
		"a tag nobody knows": {&struct {
			User string `ppid:"person"`
		}{}, "starts with user"},
		"an option nobody knows": {&struct {
			User string `ppid:"user,maybe"`
		}{}, "options are"},
		"a tag that cannot work": {&struct {
			user string `ppid:"user"`
		}{}, "exported"},
		"keys that are numbers": {&struct {
			Users map[int]string `ppid:"user,keys"`
		}{Users: map[int]string{1: ""}}, "keys"},
		"keys over users": {&struct {
			Users map[string]bid `ppid:"user,keys"`
		}{Users: map[string]bid{"a": {}}}, "further tagged"},
		"a list that holds itself": {&loop, "too deeply"},
	} {
		if err := users.In(t.Context(), "pay", c.v); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
