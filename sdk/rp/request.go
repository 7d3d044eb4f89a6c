package rp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
)

const maxAnswerBytes = 1 << 20

// postForm sends an authenticated form to an endpoint and reads the answer
// into answer, unless that is nil. A refusal is returned as *oauth.Error. Where the
// server asks for a nonce, the request is made once more, with new proofs.
func (c *Client) postForm(ctx context.Context, endpoint string, form url.Values, answer any) error {
	err := c.postFormOnce(ctx, endpoint, form, answer)
	if c.proofs != nil && asksForNonce(err) {
		return c.postFormOnce(ctx, endpoint, form, answer)
	}
	return err
}

func asksForNonce(err error) bool {
	var refused *oauth.Error
	return errors.As(err, &refused) && refused.Code == oauth.UseDPoPNonce
}

func (c *Client) postFormOnce(ctx context.Context, endpoint string, form url.Values, answer any) error {
	if endpoint == "" {
		return errors.New("rp: the authorization server has no such endpoint")
	}
	header := make(http.Header)
	if err := c.auth.apply(header, form); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	header.Set("Accept", "application/json")
	request.Header = header
	if err := c.proofs.apply(request, "", c.now()); err != nil {
		return err
	}
	return c.send(request, answer)
}

// postJSON sends a JSON body under an access token.
func (c *Client) postJSON(ctx context.Context, endpoint, token string, body, answer any) error {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false) // six bytes for one, where the size is limited
	if err := encoder.Encode(body); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, &encoded)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	return c.sendWith(token, request, answer)
}

// sendWith sends a request under an access token, once more where the server asks
// for a nonce.
func (c *Client) sendWith(token string, request *http.Request, answer any) error {
	if err := c.authorize(request, token); err != nil {
		return err
	}
	err := c.send(request, answer)
	if c.proofs == nil || !asksForNonce(err) {
		return err
	}
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return err
		}
	}
	if err := c.authorize(again, token); err != nil {
		return err
	}
	return c.send(again, answer)
}

func (c *Client) send(request *http.Request, answer any) error {
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	c.proofs.learn(response)
	body, err := issuer.Body(response, maxAnswerBytes)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return refusal(request, response, body)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("rp: %s answered no valid JSON: %w", request.URL.Path, err)
	}
	return nil
}

// refusal reads an error answer. What is no OAuth error (a proxy's page, say)
// becomes an error that names the status and nothing of the body.
func refusal(request *http.Request, response *http.Response, body []byte) error {
	refused := &oauth.Error{Status: response.StatusCode}
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if mediaType == "application/json" && json.Unmarshal(body, refused) == nil && refused.Code != "" {
		return refused
	}
	return fmt.Errorf("rp: %s answered %s", request.URL.Path, response.Status)
}

// token asks the token endpoint.
func (c *Client) token(ctx context.Context, form url.Values) (*oauth2.Token, *oauth.TokenResponse, error) {
	asked := c.now()
	var answer oauth.TokenResponse
	if err := c.postForm(ctx, c.Metadata.TokenEndpoint, form, &answer); err != nil {
		return nil, nil, err
	}
	if answer.AccessToken == "" || !strings.EqualFold(answer.TokenType, c.proofs.tokenType()) || answer.ExpiresIn <= 0 {
		return nil, nil, fmt.Errorf("rp: the token endpoint answered without a token of type %s that expires", c.proofs.tokenType())
	}
	token := &oauth2.Token{
		AccessToken:  answer.AccessToken,
		TokenType:    c.proofs.tokenType(),
		RefreshToken: answer.RefreshToken,
		// Counted from the question, not the answer: never later than the server means.
		Expiry: asked.Add(time.Duration(answer.ExpiresIn) * time.Second),
	}
	extra := map[string]any{"scope": answer.Scope.String()}
	if answer.IDToken != "" {
		extra["id_token"] = answer.IDToken
	}
	return token.WithExtra(extra), &answer, nil
}

// withTarget adds what a token shall be good for (RFC 8707 §2).
func withTarget(form url.Values, resource string, scopes []string) url.Values {
	if resource != "" {
		form.Set("resource", resource)
	}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	return form
}
