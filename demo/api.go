package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/sekisho-id/sekisho/oauth"
)

// call is one request from a system to the API of another, in JSON.
type call struct {
	client *http.Client // brings its own token (rp.Client), unless token is given
	method string
	url    string
	token  string
	body   any
}

// do sends the call and reads the answer, unless answer is nil. A refusal is an
// *oauth.Error.
func (c call) do(ctx context.Context, answer any) (err error) {
	sent, err := json.Marshal(c.body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	received, err := io.ReadAll(io.LimitReader(response.Body, longestBody))
	if err != nil {
		return err
	}
	if refusal := refusalIn(response.StatusCode, response.Header, received); refusal != nil {
		return &oauth.Error{Code: oauth.Code(refusal.Code), Description: refusal.Why, Status: refusal.Status}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(received, answer)
}

// readBody reads the JSON body of a call into v.
func readBody(r *http.Request, v any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, longestBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return oauth.Refuse(oauth.InvalidRequest, "The body is not the JSON this call takes.")
	}
	return nil
}

// answer writes the outcome of a call: the value, or the refusal.
func answer(w http.ResponseWriter, logger *slog.Logger, value any, err error) {
	status := http.StatusOK
	if err != nil {
		refusal := refusalOf(err)
		if status = refusal.HTTPStatus(); status >= http.StatusInternalServerError {
			logger.Error("call failed", "error", err)
		}
		value = refusal
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		logger.Debug("answer not sent", "error", err)
	}
}

// refusalOf is what the caller is told of an error.
func refusalOf(err error) *oauth.Error {
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return refused
	}
	return oauth.Refuse(oauth.ServerError, "The server could not do this.")
}

// onward says that a call further on was refused, and keeps the code, so that
// the first caller learns why.
func onward(system string, err error) error {
	refused, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		return fmt.Errorf("call %s: %w", system, err)
	}
	return &oauth.Error{
		Code: refused.Code, Status: http.StatusForbidden,
		Description: fmt.Sprintf("Calling %s on was refused: %s", system, refused.Description),
	}
}
