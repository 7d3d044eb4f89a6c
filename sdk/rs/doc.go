// Package rs is the resource server's side of a Sekisho group: it checks the
// token of each call, tells calls for people from calls of services, and turns
// the callers' identifiers of people into internal user ids and back.
//
//	guard, err := rs.New(ctx, rs.Config{
//		Issuer:   "https://id.market.example",
//		Audience: "https://api.market.example",
//	})
//	users := &rs.Mapping{Client: client, Store: store}
//	http.Handle("GET /items", guard.User("items.read",
//		func(w http.ResponseWriter, r *http.Request, user *rs.User) {
//			id, err := users.Internal(r.Context(), user) // our own id of the person
//			answer := itemsOf(id)                        // fields with users are tagged `ppid:"user"`
//			err = users.Out(r.Context(), user.Subsystem, &answer)
//		}))
//	http.Handle("POST /settlements", guard.Service("settle",
//		func(w http.ResponseWriter, r *http.Request, service *rs.Service) { ... }))
//
// A Guard refuses with 401 what is no good token, with 403 what is a good
// token for something else, and with 503 what it cannot judge at the moment;
// it never lets through what it could not check. Tokens that are bound to a key or to
// a certificate (cnf) are taken from who holds it only.
//
// Traces of OpenTelemetry go on: Config.TracerProvider.
//
// The package owns the check of tokens and the mapping of identifiers. It
// issues nothing and keeps no users; tokens for calls to other services come
// from package rp, which finds the incoming token in the request's context.
package rs
