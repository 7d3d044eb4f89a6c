package rp

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
)

// EventCredentials asks for the ID tokens that prove events about one person to
// their receivers (RFC 8693 with RFC 9396; docs/events.md): up to 50 in one
// request. Subject is this subsystem's own subject of the person. The answer
// has the order of the question, with IDToken set, or left empty where the
// receiver must not hear of the person: nothing is to be sent there then.
//
// A receiver or type that the group file does not declare is an *oauth.Error
// with oauth.InvalidTarget, and no credential is given at all.
//
// Most publishers use event.Publisher; this is the call under it.
func (c *Client) EventCredentials(ctx context.Context, subject string, details []oauth.EventDetail) ([]oauth.EventDetail, error) {
	asked := make([]oauth.EventDetail, len(details))
	for i, detail := range details {
		detail.Type, detail.IDToken = oauth.DetailEvent, ""
		asked[i] = detail
	}
	encoded, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	var answer struct {
		IssuedTokenType oauth.TokenType     `json:"issued_token_type"`
		Details         []oauth.EventDetail `json:"authorization_details"`
	}
	err = c.postForm(ctx, c.Metadata.TokenEndpoint, url.Values{
		"grant_type":            {string(oauth.GrantTokenExchange)},
		"requested_token_type":  {string(oauth.TokenTypeID)},
		"subject_token":         {subject},
		"subject_token_type":    {string(oauth.TokenTypeSubject)},
		"authorization_details": {string(encoded)},
	}, &answer)
	switch {
	case namesNobody(err):
		return asked, nil
	case err != nil:
		return nil, err
	case answer.IssuedTokenType != oauth.TokenTypeID || len(answer.Details) != len(asked):
		return nil, errors.New("rp: the token endpoint answered something else than the credentials that were asked for")
	}
	for i, detail := range answer.Details {
		credential := detail.IDToken
		detail.IDToken = ""
		if detail != asked[i] {
			return nil, errors.New("rp: the token endpoint answered with the credential of another event")
		}
		asked[i].IDToken = credential
	}
	return asked, nil
}

// namesNobody tells the refusal of a person whom no receiver may hear of from
// that of a request which is wrong by itself: both are invalid_request.
func namesNobody(err error) bool {
	var refusal *oauth.Error
	return errors.As(err, &refusal) && refusal.Code == oauth.InvalidRequest && strings.Contains(refusal.Description, "names nobody")
}
