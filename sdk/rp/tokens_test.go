package rp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

func TestServiceTokenIsShared(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "pay.backend")
	var wait sync.WaitGroup
	got := make([]string, 50)
	for i := range got {
		wait.Go(func() {
			scopes := []string{"settle", "items.read"}
			if i%2 == 1 {
				scopes = []string{"items.read", "settle"}
			}
			token, err := client.ServiceToken(market, scopes...).Token()
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = token.AccessToken
		})
	}
	wait.Wait()
	for _, token := range got {
		if token != got[0] {
			t.Fatalf("two tokens for one use: %q and %q", token, got[0])
		}
	}
	if forms := issuer.Forms(); len(forms) != 1 {
		t.Fatalf("%d token requests, want 1", len(forms))
	}
	for _, other := range []oauth2.TokenSource{
		client.ServiceToken(market), client.ServiceToken(market, "settle"), client.ServiceToken("https://other.example", "settle", "items.read"),
	} {
		token, err := other.Token()
		if err != nil {
			t.Fatal(err)
		}
		if token.AccessToken == got[0] {
			t.Error("a token was used for something else than it was asked for")
		}
	}
}

func TestServiceTokenIsRenewedBehind(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "pay.backend")
	source := client.ServiceToken(market, "settle")
	first, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	issuer.Answer = func(http.ResponseWriter, map[string][]string) bool {
		close(asked)
		<-answer
		return false
	}
	issuer.Clock.Advance(issuer.Life - 30*time.Second)
	second, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	if second.AccessToken != first.AccessToken {
		t.Fatal("a good token was not used on while the next was fetched")
	}
	<-asked
	// The old one ends; who asks now waits for the request that is under way.
	issuer.Clock.Advance(time.Minute)
	got := make(chan string)
	go func() {
		token, err := source.Token()
		if err != nil {
			t.Error(err)
			token = &oauth2.Token{}
		}
		got <- token.AccessToken
	}()
	close(answer)
	if third := <-got; third == first.AccessToken || third == "" {
		t.Fatalf("got %q after the end of %q", third, first.AccessToken)
	}
	if n := len(issuer.Forms()); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

func TestServiceClientForgetsARefusedToken(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "pay.backend")
	var mu sync.Mutex
	var seen []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"))
		if len(seen) <= 2 {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	for n := range 4 {
		if n == 1 {
			issuer.Clock.Advance(5 * time.Second) // refused at once is kept, refused later is not
		}
		get(t, client.ServiceClient(market, "settle"), api.URL)
	}
	if seen[0] != seen[1] || seen[1] == seen[2] || seen[2] != seen[3] {
		t.Errorf("sent %q, want the same token after the first 401, another after the second", seen)
	}
	if n := len(issuer.Forms()); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

// A bearer token sent to whatever a redirect names would be a token given away.
func TestServiceClientKeepsItsTokenFromOtherOrigins(t *testing.T) {
	t.Parallel()
	_, client := setup(t, "pay.backend")
	reached := make(chan string, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached <- r.Header.Get("Authorization")
	}))
	t.Cleanup(thief.Close)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			return
		}
		to := "/moved"
		if r.URL.Path == "/away" {
			to = thief.URL
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(api.Close)

	get(t, client.ServiceClient(market), api.URL+"/near")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/away", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := client.ServiceClient(market).Do(request); err == nil {
		response.Body.Close()
		t.Fatal("followed a redirect to another origin")
	}
	select {
	case header := <-reached:
		t.Fatalf("the other origin got %q", header)
	default:
	}
}

func TestExchangeIsRememberedByTokenAndUse(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "pay.backend")
	exchange := func(token, resource string, scopes ...string) string {
		t.Helper()
		got, err := client.Exchange(t.Context(), token, resource, scopes...)
		if err != nil {
			t.Fatal(err)
		}
		return got.AccessToken
	}
	first := exchange("user-token-1", market, "items.read")
	if again := exchange("user-token-1", market, "items.read"); again != first {
		t.Error("the same exchange was made twice")
	}
	seen := map[string]bool{first: true}
	for _, other := range []string{
		exchange("user-token-2", market, "items.read"),
		exchange("user-token-1", "https://other.example", "items.read"),
		exchange("user-token-1", market),
	} {
		if seen[other] {
			t.Error("one answer for two different exchanges")
		}
		seen[other] = true
	}
	form := issuer.Forms()[0]
	if form["subject_token"][0] != "user-token-1" || form["resource"][0] != market || form["scope"][0] != "items.read" {
		t.Errorf("sent %v", form)
	}
	legacy, err := client.ExchangeLegacy(t.Context(), "user-token-1", market, "items.read")
	if err != nil || legacy.AccessToken == first {
		t.Errorf("a token of before is another one: %v, %v", legacy, err)
	}
	if sent := issuer.Forms()[4]; sent["subject_token_type"][0] != string(oauth.TokenTypeJWT) {
		t.Errorf("sent %v", sent)
	}
	issuer.Clock.Advance(issuer.Life)
	if later := exchange("user-token-1", market, "items.read"); later == first {
		t.Error("an exchanged token was used beyond its end")
	}
}

func TestOnBehalf(t *testing.T) {
	t.Parallel()
	_, client := setup(t, "pay.backend")
	got := make(chan string, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
	}))
	t.Cleanup(api.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.OnBehalf(market).Do(request); !errors.Is(err, rp.ErrNoUserToken) {
		t.Fatalf("without a user: got %v", err)
	}
	response, err := client.OnBehalf(market).Do(request.WithContext(rp.WithUserToken(t.Context(), "user-token")))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if header := <-got; header != "Bearer exchanged-1" {
		t.Errorf("sent %q", header)
	}
	if header := request.Header.Get("Authorization"); header != "" {
		t.Errorf("the caller's request was changed: %q", header)
	}
}

func get(t *testing.T, client *http.Client, address string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}
