// Package event tells other subsystems of a Sekisho group that something
// happened to a person, and hears of it from them.
//
// An event names its person by the receiver's own pairwise subject: the
// authorization server makes it for each receiver, so that a publisher need
// not know any identifier but its own, and two receivers cannot compare theirs.
//
// # Publishing
//
// A Publisher writes events in the transaction of the change that they tell of,
// and delivers them from there to whoever subscribed.
//
//	publisher := &event.Publisher{
//		Client:   client, // of rp.Discover
//		Mapping:  users,
//		Outbox:   &event.SQLOutbox{DB: db, Dialect: event.SQLite},
//		Audience: "https://api.market.example",
//		Types:    map[string]any{"item.sold": Sale{}},
//		Key:      key, // 32 random bytes
//	}
//	http.Handle("/event-subscriptions/", publisher.Subscriptions(guard, "events"))
//	go publisher.Run(ctx) // on every replica; one delivers
//	err := publisher.Publish(ctx, tx, event.Occurrence{Type: "item.sold", User: id, Data: Sale{Item: "a lamp"}})
//
// A delivery is pending until the receiver takes it (done), may not hear of the
// person (skipped), or refuses it or does not take it for three days (dead, to be
// seen and sent again). A subscription is unverified until its address has
// answered a challenge, then active, and paused when its receiver refuses
// everything for a day or may not have the events.
//
// # Receiving: a webhook
//
// What arrives proves itself: a receiver needs the issuer's public keys, the
// name of its own subsystem, and nothing that is secret.
//
//	receiver, err := event.NewReceiver(ctx, event.Config{
//		Issuer:   "https://id.market.example",
//		Audience: "crypto", // this subsystem
//		Inbox:    &event.SQLInbox{DB: db, Dialect: event.SQLite},
//		Mapping:  users, // so that Event.User is our own id of the person
//	})
//	receiver.Handle("https://api.market.example/events/item.sold",
//		func(ctx context.Context, tx *sql.Tx, e *event.Event) error {
//			_, err := tx.ExecContext(ctx, "UPDATE wallet SET coins = coins + 1 WHERE member = $1", e.User)
//			return err
//		})
//	http.Handle("POST /events", receiver)
//
// The same address takes both forms there are: a JSON body with an ID token of
// the type event+jwt that proves it (from the publisher itself, or from the hub),
// and Security Event Tokens pushed by the hub (RFC 8935). The work of a handler
// and the mark that the event was handled are one transaction: an event that is
// delivered twice is handled once, and one whose handler fails comes again.
//
// # Receiving: asking for it
//
// A subsystem that cannot be reached from outside fetches what waits for it
// (RFC 8936). Handlers are the same.
//
//	streams := &event.Streams{Client: client}
//	stream, err := streams.Ensure(ctx, event.Stream{Delivery: event.Delivery{Method: oauth.DeliveryPoll}})
//	err = receiver.Poll(ctx, client, stream.ID) // until ctx ends
//
// # Sessions that end, accounts that are closed
//
// With Config.Guard the events of the platform itself reach the guard of the
// subsystem's API before anything else: the tokens of an ended session or a
// closed account are refused from then on, though they have not expired. An event
// is delivered to one of several replicas; Receiver.Follow tells the others, and
// those that start later, through the database they share.
//
// # What the package does not do
//
// It makes no tokens and keeps no users. Events may arrive late and, for
// different people, in any order; those about one person from one stream come
// in order.
package event
