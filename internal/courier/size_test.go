package courier_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/courier"
)

// Whatever is accepted can be sent: the largest event that a publisher may hand
// in fits into a token.
func TestTheLargestEventIsSent(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	crypto := newReceiver(t)
	e.stream("crypto.backend", crypto)
	event, _ := e.Registry.Current().Event(itemSold)
	people := map[string]account.Ref{}
	for i := range courier.MaxPeople {
		name := fmt.Sprintf("person-%02d-", i)
		people[name+strings.Repeat("x", courier.MaxPersonName-len(name))] = e.people[i%len(e.people)].Ref
	}
	data := `{"text":"` + strings.Repeat("x", courier.MaxData-len(`{"text":""}`)) + `"}`
	e.hand([]courier.Publication{{
		Event: event, ID: strings.Repeat("i", courier.MaxEventID), Subject: e.people[0].Ref, People: people,
		HappenedAt: e.clock.Now(), Data: json.RawMessage(data),
	}})
	e.tick()
	if sets := e.readSETs(crypto.take()); len(sets) != 1 {
		t.Errorf("%d came", len(sets))
	}
}
