package token

import (
	"context"
	"errors"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// answer is what a grant's own function gives back: the response, and what is
// to be recorded of it.
type answer struct {
	response oauth.TokenResponse
	record   audit.Record
}

// Token is the token endpoint (RFC 6749 §3.2).
func (d *Door) Token(w http.ResponseWriter, r *http.Request) {
	if d.crossOrigin(w, r, http.MethodPost) {
		return
	}
	response, err := d.token(w, r)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	web.WriteRawJSON(w, http.StatusOK, appendResponse(nil, response))
}

// token takes every token request through the same six phases.
func (d *Door) token(w http.ResponseWriter, r *http.Request) (*oauth.TokenResponse, error) {
	ctx := r.Context()

	// 1. Parse, once.
	req, form, err := parseRequest(w, r)
	if err != nil {
		return nil, err
	}
	web.Event(ctx).Set("grant_type", string(req.grantType))

	// 2. Authenticate the client; it gets no more than its rate.
	c := call{request: req, source: web.ClientIP(r, d.TrustProxy)}
	if c.client, c.group, err = d.authenticate(r, form, c.source); err != nil {
		return nil, err
	}
	if err := d.limits.takeToken(c.client); err != nil {
		return nil, err
	}

	// 3. Dispatch: is the grant known, and the client's scenario allowed it.
	// 4. Possession: to which key the tokens are bound.
	// 5. The grant's own function.
	var ans answer
	run, err := d.dispatch(c)
	if err == nil {
		c.bound, err = d.Mint.Possession(w, r, c.client)
	}
	if err == nil {
		ans, err = run(ctx, c)
	}

	// 6. Audit, refusals too; then it may be written. What cannot be recorded is
	// not answered.
	if err := d.record(ctx, c, ans, err); err != nil {
		return nil, err
	}
	return &ans.response, nil
}

// grantFunc is the function of one grant.
type grantFunc func(context.Context, call) (answer, error)

// dispatch finds the function of the grant that the client asks for, if it may
// use that grant at all.
func (d *Door) dispatch(c call) (grantFunc, error) {
	var run grantFunc
	switch c.grantType {
	case oauth.GrantAuthorizationCode:
		run = d.code
	case oauth.GrantRefreshToken:
		run = d.refresh
	case oauth.GrantClientCredentials:
		run = d.clientCredentials
	case oauth.GrantTokenExchange:
		run = d.exchange
	default:
		return nil, oauth.Refuse(oauth.UnsupportedGrantType,
			"This server knows authorization_code, refresh_token, client_credentials and token exchange.")
	}
	if err := c.client.AllowsGrant(c.grantType); err != nil {
		return nil, err
	}
	if c.details != "" && c.grantType == oauth.GrantClientCredentials {
		return nil, oauth.Refuse(oauth.InvalidRequest,
			"authorization_details are about what a person allows; client credentials speak for the client alone.")
	}
	return run, nil
}

// record writes down what became of a token request, and gives back the error
// to answer with: the grant's own, or that the record could not be written.
// What the grant room decided, it has recorded in its transaction.
func (d *Door) record(ctx context.Context, c call, ans answer, err error) error {
	record := ans.record
	if err != nil {
		record = refusedRecord(c, err)
	}
	if record.Event == "" {
		return err
	}
	record.At = d.Now()
	record.Client = c.client.ID
	record.Source = c.source.String()
	record.Request = web.Event(ctx).ID
	if auditErr := d.Audit.Enqueue(record); auditErr != nil {
		return auditErr
	}
	return err
}

// refusedRecord is the record of a refusal. It is empty where nothing was
// decided or the decision has been recorded already: a failure of the server, a nonce
// to come again with, or a code or refresh token that the grant room refused.
func refusedRecord(c call, err error) audit.Record {
	var refusal *oauth.Error
	var ended grant.Refusal
	var over pairwise.OverBudget
	if errors.As(err, &ended) && !errors.Is(ended, grant.ErrUnknown) || !errors.As(refusalOf(err), &refusal) ||
		refusal.Code == oauth.TemporarilyUnavailable && !errors.As(err, &over) || refusal.Code == oauth.UseDPoPNonce {
		return audit.Record{}
	}
	event := audit.TokenRefused
	switch {
	case c.asksForEvents():
		event = audit.EventCredentialRefused
	case c.grantType == oauth.GrantTokenExchange:
		event = audit.ExchangeRefused
	}
	return audit.Record{
		Event: event, Outcome: audit.Refused, Reason: string(refusal.Code),
		Detail: map[string]any{"grant_type": word(string(c.grantType)), "why": refusal.Description},
	}
}
