package token_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// measure prepares a request once and sends it b.N times. The audit log is written
// out from time to time, outside the measured time.
func measure(b *testing.B, set *bundle, path string, who as, pairs ...string) {
	b.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, issuer+path, http.NoBody)
	who(r, form)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	body := form.Encode()
	r.ContentLength = int64(len(body))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 999 { // the queue takes 2048
			b.StopTimer()
			if err := set.audit.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		r.Body = io.NopCloser(strings.NewReader(body))
		w := httptest.NewRecorder()
		set.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// unlimited takes the rates of clients away.
func (b *bundle) unlimited() {
	b.t.Helper()
	b.regroup(
		"{ secret_file: pay.backend }", "{ secret_file: pay.backend, rate: 100000 }",
		"{ secret_file: market.spare }", "{ secret_file: market.spare, rate: 100000 }",
		"{ secret_file: shop.backend }", "{ secret_file: shop.backend, rate: 100000 }",
	)
}

func BenchmarkClientCredentials(b *testing.B) {
	set := setup(b)
	set.unlimited()
	measure(b, set, token.PathToken, basic("pay.backend"), clientCredentials()...)
}

func BenchmarkExchange(b *testing.B) {
	set := setup(b)
	set.unlimited()
	measure(b, set, token.PathToken, basic("pay.backend"), exchange(set.charged("charge"), market)...)
}

// One event for one receiver, and for ten.

func BenchmarkEventCredential(b *testing.B) {
	set := setup(b)
	set.unlimited()
	set.serve(pairwise.Budget{AtLeast: 1 << 60})
	measure(b, set, token.PathToken, basic("market.spare"), asking(set.subject("market"), detail("crypto", sold, "sale-1"))...)
}

func BenchmarkEventCredentials10(b *testing.B) {
	set := setup(b)
	set.unlimited()
	set.serve(pairwise.Budget{AtLeast: 1 << 60})
	var details []oauth.EventDetail
	for i := range 5 {
		id := "sale-" + strconv.Itoa(i)
		details = append(details, detail("crypto", sold, id), detail("shop", sold, id))
	}
	measure(b, set, token.PathToken, basic("market.spare"), asking(set.subject("market"), details...)...)
}

func BenchmarkIntrospection(b *testing.B) {
	set := setup(b)
	set.unlimited()
	tokens := set.appTokens(marketScopes)
	measure(b, set, token.PathIntrospection, basic("market.spare"), "token", tokens.AccessToken)
}

func BenchmarkIntrospectionOpaque(b *testing.B) {
	set := setup(b)
	set.unlimited()
	opaque := set.tokens(basic("pay.backend"), exchange(set.charged("charge"), shop)...).AccessToken
	measure(b, set, token.PathIntrospection, basic("shop.backend"), "token", opaque)
}

// The floors: what a handler costs that does nothing but read a form and sign,
// or verify, once.

func BenchmarkFloorSign(b *testing.B) {
	set := setup(b)
	claims := []byte(`{"iss":"https://id.test","sub":"pay.backend","aud":"https://api.market.test","exp":1800000642,"iat":1800000042,"jti":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","client_id":"pay.backend","scope":"settle"}`)
	set.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := web.ParseForm(w, r, web.FormLimit); err != nil {
			b.Fatal(err)
		}
		signed, err := set.keys.Sign(keyring.Access, claims)
		if err != nil {
			b.Fatal(err)
		}
		web.WriteJSON(w, http.StatusOK, map[string]string{"access_token": signed})
	})
	measure(b, set, token.PathToken, basic("pay.backend"), clientCredentials()...)
}

func BenchmarkFloorVerify(b *testing.B) {
	set := setup(b)
	tokens := set.appTokens(marketScopes)
	set.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, err := web.ParseForm(w, r, web.FormLimit)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := set.keys.Verify(keyring.Access, form.Get("token")); err != nil {
			b.Fatal(err)
		}
		web.WriteJSON(w, http.StatusOK, map[string]bool{"active": true})
	})
	measure(b, set, token.PathIntrospection, basic("market.spare"), "token", tokens.AccessToken)
}
