package rp_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// example is a client of a small authorization server and an API that tells
// which token it got. In a program the client is made once, at start.
func example(clientID string) (client *rp.Client, api *httptest.Server, end func()) {
	issuer := issuertest.New()
	client, err := rp.Discover(context.Background(), rp.Config{
		Issuer: issuer.URL, ClientID: clientID, Secret: issuertest.Secret, Now: issuer.Clock.Now,
	})
	if err != nil {
		log.Fatal(err)
	}
	api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Authorization"))
	}))
	return client, api, func() { api.Close(); issuer.Close() }
}

// A client that proves itself with a key, which may live in an HSM or a KMS.
func ExampleDiscover() {
	var key crypto.Signer // from a file, an HSM or a KMS
	client, err := rp.Discover(context.Background(), rp.Config{
		Issuer:   "https://id.market.example",
		ClientID: "pay.backend",
		Key:      key,
		KeyID:    "2026-01",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Subsystem())
}

// A batch job calls another subsystem on its own behalf.
func ExampleClient_ServiceClient() {
	client, api, end := example("pay.backend")
	defer end()

	market := client.ServiceClient("https://api.market.example", "settle")
	for range 2 { // the token is asked for once
		response, err := market.Post(api.URL+"/settlements", "application/json", http.NoBody)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
	}
	// Output:
	// POST /settlements Bearer service-1
	// POST /settlements Bearer service-1
}

// The same for software that wants a token and not an HTTP client, gRPC say.
func ExampleClient_ServiceToken() {
	client, _, end := example("pay.backend")
	defer end()

	token, err := client.ServiceToken("https://api.market.example", "settle").Token()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type(), token.AccessToken)
	// Output: Bearer service-1
}

// A service that was called for a person calls the next one for the same person.
func ExampleClient_OnBehalf() {
	client, api, end := example("pay.backend")
	defer end()

	market := client.OnBehalf("https://api.market.example", "items.read") // once, at start
	charge := func(_ http.ResponseWriter, incoming *http.Request) {       // a handler of an rs.Guard
		request, err := http.NewRequestWithContext(incoming.Context(), http.MethodGet, api.URL+"/items/7", http.NoBody)
		if err != nil {
			log.Fatal(err)
		}
		response, err := market.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
	}

	incoming := httptest.NewRequest(http.MethodPost, "/charges", http.NoBody)
	charge(nil, incoming.WithContext(rp.WithUserToken(incoming.Context(), "the token of the incoming call")))
	// Output: GET /items/7 Bearer exchanged-1
}

// The exchange alone, for calls that are not made with net/http.
func ExampleClient_Exchange() {
	client, _, end := example("pay.backend")
	defer end()

	token, err := client.Exchange(context.Background(), "the token of the incoming call", "https://api.market.example", "items.read")
	var refusal *oauth.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == oauth.InvalidTarget:
		log.Fatal("the group file has no edge from pay to market")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(token.AccessToken)
	// Output: exchanged-1
}

// Most services convert through rs.Mapping; this is the call under it.
func ExampleClient_Convert() {
	client, _, end := example("market.backend")
	defer end()

	subjects, err := client.Convert(context.Background(), "market-app", "market", []string{"alice.market-app", "ghost.market-app"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", subjects)
	// Output: ["alice.market" ""]
}

// Most publishers use event.Publisher; this is the call under it: the proof of
// one event about one person, for two receivers.
func ExampleClient_EventCredentials() {
	client, _, end := example("market.backend")
	defer end()

	body := sha256.Sum256([]byte(`{"item":"a lamp"}`))
	sold := oauth.EventDetail{
		EventType:  "https://api.market.example/events/item.sold",
		EventID:    "sale-4711",
		BodySHA256: base64.RawURLEncoding.EncodeToString(body[:]),
	}
	pay, crypto := sold, sold
	pay.Receiver, crypto.Receiver = "pay", "crypto"
	credentials, err := client.EventCredentials(context.Background(), "alice.market", []oauth.EventDetail{pay, crypto})
	if err != nil {
		log.Fatal(err)
	}
	for _, credential := range credentials {
		fmt.Println(credential.Receiver, credential.IDToken != "")
	}
	// Output:
	// pay true
	// crypto true
}

func ExampleClient_Introspect() {
	client, _, end := example("market.backend")
	defer end()

	answer, err := client.Introspect(context.Background(), "a token that was revoked")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("active:", answer.Active)
	// Output: active: false
}

// A web site signs people in. Its own session is its own matter.
func ExampleSignIn() {
	var client *rp.Client // of Discover
	var cookieKey []byte  // 32 random bytes, the same on every replica

	signIn, err := rp.NewSignIn(rp.SignInConfig{
		Client:      client,
		RedirectURL: "https://market.example/callback",
		Scopes:      []string{"items.read", oauth.ScopeOfflineAccess},
		Resources:   []string{"https://api.market.example"},
		CookieKey:   cookieKey,
	})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /sign-in", signIn.Start)
	http.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		identity, err := signIn.Finish(w, r)
		var refusal *oauth.Error
		switch {
		case errors.Is(err, rp.ErrNotStarted):
			signIn.Start(w, r) // it took too long: once more
		case errors.As(err, &refusal) && refusal.Code == oauth.AccessDenied:
			http.Redirect(w, r, "/", http.StatusSeeOther)
		case err != nil:
			http.Error(w, "Signing in did not work.", http.StatusBadGateway)
		default:
			// Start a session for identity.Subject here; keep
			// identity.Token.RefreshToken and identity.IDToken with it.
			http.Redirect(w, r, identity.ReturnTo, http.StatusSeeOther)
		}
	})
}

// A page that asks for a fresh sign-in before something that matters.
func ExampleSignIn_StartWith() {
	var signIn *rp.SignIn // of NewSignIn

	http.HandleFunc("GET /payout", func(w http.ResponseWriter, r *http.Request) {
		signIn.StartWith(w, r, rp.Ask{ReturnTo: "/payout", Prompt: "login"})
	})
}

// A token for another API than the one of the sign-in, out of the same grant.
func ExampleClient_Refresh() {
	client, _, end := example("market-app.web")
	defer end()

	token, err := client.Refresh(context.Background(), "the refresh token of the session", "https://api.pay.example", "charge")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.AccessToken)
	// Output: refreshed-1
}

// Signing out ends the grant, the site's own session (not shown), and the
// session with the authorization server.
func ExampleClient_LogoutURL() {
	var client *rp.Client            // of Discover
	var refreshToken, idToken string // of the session
	http.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		if err := client.Revoke(r.Context(), refreshToken); err != nil {
			log.Print(err)
		}
		logout, err := client.LogoutURL(idToken, "https://market.example/", "")
		if err != nil {
			http.Error(w, "Signing out did not work.", http.StatusBadGateway)
			return
		}
		http.Redirect(w, r, logout, http.StatusSeeOther)
	})
}

// A web site ends its own session when somebody signs out of the group.
func ExampleClient_LogoutHandler() {
	var client *rp.Client // of rp.Discover
	var db *sql.DB        // where the site keeps its sessions, with the sid of their ID token

	http.Handle("POST /signed-out", client.LogoutHandler(func(ctx context.Context, logout rp.Logout) error {
		_, err := db.ExecContext(ctx, "DELETE FROM session WHERE sid = $1 OR $1 = '' AND subject = $2", logout.SessionID, logout.Subject)
		return err
	}))
}
