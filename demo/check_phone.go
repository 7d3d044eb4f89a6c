package demo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// signInOnPhone signs in to the phone app of the same system: a public client
// (PKCE, no secret) that listens on a loopback port for its code, as desktop
// and phone apps do (RFC 8252 §7.3).
func (c *check) signInOnPhone(ctx context.Context) error {
	client, err := rp.Discover(ctx, rp.Config{Issuer: c.group.Issuer(), ClientID: clientPhone, HTTPClient: c.group.http(partyApp)})
	if err != nil {
		return err
	}
	token, err := c.codeOnLoopback(ctx, client)
	if err != nil {
		return err
	}
	access := c.group.trace.readToken("access token", token.AccessToken)
	c.verify(access.Subject == c.ids[partyApp].Subject && access.Client == clientPhone,
		"the phone app is the same system, so it is told the same subject %s, without a password", short(access.Subject))

	next, err := client.Refresh(ctx, token.RefreshToken, "")
	if err != nil {
		return err
	}
	c.verify(next.RefreshToken != "" && next.RefreshToken != token.RefreshToken, "the public client's refresh token was replaced when it was used")
	again, err := client.Refresh(ctx, token.RefreshToken, "")
	if err != nil {
		return err
	}
	c.verify(again.RefreshToken == next.RefreshToken, "asked again at once, as after a lost answer, it got the same successor")
	if err := client.Revoke(ctx, next.RefreshToken); err != nil {
		return err
	}
	_, err = client.Refresh(ctx, next.RefreshToken, "")
	c.verify(codeOf(err) == oauth.InvalidGrant, "revoked, it ends: %s", codeOf(err))
	return nil
}

// codeOnLoopback goes through the code flow with the browser and x/oauth2.
func (c *check) codeOnLoopback(ctx context.Context, client *rp.Client) (*oauth2.Token, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	came := make(chan *http.Request, 1)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case came <- r:
		default: // only the first answer counts
		}
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	defer func() { _ = server.Close() }()

	verifier := oauth2.GenerateVerifier()
	config := oauth2.Config{
		ClientID: clientPhone, RedirectURL: "http://" + listener.Addr().String() + "/callback",
		Scopes: []string{oauth.ScopeOpenID, "items.read"},
		Endpoint: oauth2.Endpoint{
			AuthURL: client.Metadata.AuthorizationEndpoint, TokenURL: client.Metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	if err := c.browser.open(ctx, config.AuthCodeURL("phone-state", oauth2.S256ChallengeOption(verifier))); err != nil {
		return nil, err
	}
	select {
	case request := <-came:
		query := request.URL.Query()
		if query.Get("state") != "phone-state" || query.Get("code") == "" {
			return nil, errors.New("the phone app got no code: " + query.Get("error"))
		}
		return config.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(verifier))
	default:
		return nil, errors.New("the browser did not come back to the phone app" + c.browser.complaint())
	}
}
