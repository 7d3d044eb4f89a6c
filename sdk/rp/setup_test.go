package rp_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

func TestMain(m *testing.M) {
	// Kept-open connections to servers that are gone end by themselves.
	goleak.VerifyTestMain(m)
}

const market = "https://api.market.example"

// setup starts an issuer and makes a client of it with a secret.
func setup(t *testing.T, clientID string) (*issuertest.Issuer, *rp.Client) {
	t.Helper()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	return issuer, discover(t, issuer, rp.Config{ClientID: clientID, Secret: issuertest.Secret})
}

func discover(t *testing.T, issuer *issuertest.Issuer, config rp.Config) *rp.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	config.Issuer = issuer.URL
	config.HTTPClient = &http.Client{Transport: transport}
	config.Now = issuer.Clock.Now
	client, err := rp.Discover(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
