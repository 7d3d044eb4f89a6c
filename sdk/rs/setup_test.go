package rs_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const market = "https://api.market.example"

func setupIssuer(t *testing.T) *issuertest.Issuer {
	t.Helper()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	return issuer
}

// config is that of an API of the subsystem market.
func config(t *testing.T, issuer *issuertest.Issuer) rs.Config {
	t.Helper()
	return rs.Config{Issuer: issuer.URL, Audience: market, Now: issuer.Clock.Now, HTTPClient: httpClient(t)}
}

func setup(t *testing.T) (*issuertest.Issuer, *rs.Guard) {
	t.Helper()
	issuer := setupIssuer(t)
	return issuer, newGuard(t, config(t, issuer))
}

func newGuard(t *testing.T, config rs.Config) *rs.Guard {
	t.Helper()
	guard, err := rs.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func marketClient(t *testing.T, issuer *issuertest.Issuer) *rp.Client {
	t.Helper()
	client, err := rp.Discover(t.Context(), rp.Config{
		Issuer: issuer.URL, ClientID: "market.backend", Secret: issuertest.Secret,
		Now: issuer.Clock.Now, HTTPClient: httpClient(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func httpClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// call sends a request with an Authorization header, unless that is empty.
func call(handler http.Handler, authorization string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/items", http.NoBody)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}
