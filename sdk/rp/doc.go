// Package rp is the relying party's side of a Sekisho group: how a subsystem
// gets tokens, calls others, and signs people in.
//
// A subsystem that calls another on its own behalf (a batch job):
//
//	client, err := rp.Discover(ctx, rp.Config{
//		Issuer:   "https://id.market.example",
//		ClientID: "pay.backend",
//		Key:      key, // registered as private_key_jwt
//		KeyID:    "2026-01",
//	})
//	market := client.ServiceClient("https://api.market.example", "settle")
//	response, err := market.Post("https://api.market.example/settlements", "application/json", body)
//
// A service that was called for a person, by way of an rs.Guard, and calls the
// next service for the same person:
//
//	request, err := http.NewRequestWithContext(incoming.Context(), http.MethodGet, itemURL, nil)
//	response, err := client.OnBehalf("https://api.market.example", "items.read").Do(request)
//
// A web site that signs people in:
//
//	signIn, err := rp.NewSignIn(rp.SignInConfig{
//		Client: client, RedirectURL: "https://market.example/callback", CookieKey: key,
//	})
//	http.HandleFunc("GET /sign-in", signIn.Start)
//	http.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
//		identity, err := signIn.Finish(w, r) // identity.Subject is this site's own name for the person
//	})
//
// Refusals of the authorization server are returned as *oauth.Error; find
// them with errors.As, also under the errors of the HTTP clients made here.
//
// Requests made under a span of OpenTelemetry become spans, too, and carry the
// trace on.
//
// The package owns token requests, their remembering and the state of sign-ins
// under way. It keeps no session of a signed-in person: that is the
// application's own. Checking the tokens of incoming calls is package rs.
package rp
