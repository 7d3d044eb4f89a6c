package event

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

const maxFormBytes = 8 << 10

// Subscriptions is where receivers register their webhooks: relying parties
// with a token of their own (service context) for this API that holds scope.
// Mount it with a slash at the end:
//
//	mux.Handle("/event-subscriptions/", publisher.Subscriptions(guard, "events"))
//
// A subsystem sees its own subscriptions alone.
//
//	POST   …/             {"url", "types"} → 201 with id, secret (shown this once) and state "unverified"
//	GET    …/             all of the subsystem
//	GET    …/{id}
//	PATCH  …/{id}         {"url", "types"}, either or both; another url is to be verified
//	POST   …/{id}/verify  asks the url and makes the subscription active
//	POST   …/{id}/secret  a new secret; the one before is used as well for 24 hours
//	DELETE …/{id}
//
// To verify, the url gets {"type":"verification","challenge":"…"}, signed with
// the secret, and answers 200 with {"challenge":"…"}, as a Receiver does.
//
// It panics when the publisher is set up wrongly, or on a scope that is none.
func (p *Publisher) Subscriptions(guard *rs.Guard, scope string) http.Handler {
	if err := p.prepare(); err != nil {
		panic(err)
	}
	serve := func(handle func(r *http.Request, id string, service *rs.Service) (*answer, error)) http.Handler {
		return guard.Service(scope, func(w http.ResponseWriter, r *http.Request, service *rs.Service) {
			a, err := handle(r, r.PathValue("id"), service)
			p.write(w, r, a, err)
		})
	}
	mux := http.NewServeMux()
	mux.Handle("POST /{$}", serve(p.register))
	mux.Handle("GET /{$}", serve(p.listOwn))
	mux.Handle("GET /{id}", serve(p.read))
	mux.Handle("PATCH /{id}", serve(p.change))
	mux.Handle("DELETE /{id}", serve(p.remove))
	mux.Handle("POST /{id}/verify", serve(p.verify))
	mux.Handle("POST /{id}/secret", serve(p.rotate))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := r.Clone(r.Context())
		inner.URL.Path, inner.URL.RawPath = below(r), ""
		mux.ServeHTTP(w, inner)
	})
}

// below is the path of a request below the pattern that the handler is mounted
// at, "[METHOD ][HOST]/path/".
func below(r *http.Request) string {
	_, mount, _ := strings.Cut(r.Pattern, "/")
	if rest, ok := strings.CutPrefix(r.URL.Path, "/"+mount); ok {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return r.URL.Path // mounted through http.StripPrefix
}

// answer is a successful answer; without a body it is 204.
type answer struct {
	status int
	body   any
}

// doorError is a refusal as callers see it.
type doorError struct {
	Code        oauth.Code `json:"error"`
	Description string     `json:"error_description"`
	status      int
}

func (e *doorError) Error() string { return string(e.Code) + ": " + e.Description }

var (
	errNoSuch     = &doorError{"not_found", "There is no such subscription.", http.StatusNotFound}
	errMany       = &doorError{"too_many_subscriptions", fmt.Sprintf("A subsystem has at most %d subscriptions.", maxSubscriptions), http.StatusConflict}
	errMeanwhile  = &doorError{"conflict", "The subscription was changed meanwhile; try again.", http.StatusConflict}
	errChallenge  = &doorError{"verification_failed", "The url did not answer the challenge with 200 and the same challenge.", http.StatusUnprocessableEntity}
	errChallenged = &doorError{"slow_down", "The url was asked just now; wait ten seconds.", http.StatusTooManyRequests}
)

func invalid(format string, args ...any) error {
	return &doorError{oauth.InvalidRequest, fmt.Sprintf(format, args...), http.StatusBadRequest}
}

// write writes an answer or an error. What is not meant for callers is logged.
func (p *Publisher) write(w http.ResponseWriter, r *http.Request, a *answer, err error) {
	w.Header().Set("Cache-Control", "no-store")
	var refusal *doorError
	switch {
	case errors.As(err, &refusal):
		if refusal.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", strconv.Itoa(int(challengeInterval/time.Second)))
		}
		writeJSON(w, refusal.status, refusal)
	case err != nil:
		p.log.ErrorContext(r.Context(), "event subscription", "error", err)
		w.Header().Set("Retry-After", retryAfter)
		writeJSON(w, http.StatusServiceUnavailable, &doorError{oauth.TemporarilyUnavailable, "This does not work at the moment; try again.", 0})
	case a.body == nil:
		w.WriteHeader(a.status)
	default:
		writeJSON(w, a.status, a.body)
	}
}

// subscriptionBody is a subscription as its subsystem sees it.
type subscriptionBody struct {
	ID        string    `json:"id"`
	URL       string    `json:"url"`
	Types     []string  `json:"types"`
	State     string    `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Secret    string    `json:"secret,omitempty"` // right after it was made
}

func bodyOf(s *Subscription) *subscriptionBody {
	return &subscriptionBody{ID: s.ID, URL: s.URL, Types: s.Types, State: s.State, Reason: s.Reason, CreatedAt: s.CreatedAt.UTC()}
}

// subscriptionForm is what a subsystem asks for; nil is what it says nothing of.
type subscriptionForm struct {
	URL   *string   `json:"url"`
	Types *[]string `json:"types"`
}

func (p *Publisher) parseForm(r *http.Request) (*subscriptionForm, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFormBytes+1))
	if err != nil || len(body) > maxFormBytes {
		return nil, invalid("The body could not be read, or has more than 8 KiB.")
	}
	form := &subscriptionForm{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if mediaType, err := mediaTypeOf(r); err != nil || mediaType != "application/json" {
		return nil, invalid("The Content-Type must be application/json.")
	}
	if err := decoder.Decode(form); err != nil || decoder.More() {
		return nil, invalid("The body must be a JSON object with the members url and types.")
	}
	return form, p.checkForm(form)
}

func (p *Publisher) checkForm(form *subscriptionForm) error {
	if form.URL != nil {
		if err := p.policy().CheckURL(*form.URL); err != nil {
			return invalid("The member url is refused: %s.", err)
		}
	}
	if form.Types == nil {
		return nil
	}
	if len(*form.Types) == 0 {
		return invalid("The member types must name at least one type of event.")
	}
	for i, name := range *form.Types {
		switch {
		case p.Types[name] == nil:
			return invalid("The member types names an event at position %d that is not published here.", i+1)
		case slices.Contains((*form.Types)[:i], name):
			return invalid("The member types names an event twice.")
		}
	}
	return nil
}

func (p *Publisher) register(r *http.Request, _ string, service *rs.Service) (*answer, error) {
	form, err := p.parseForm(r)
	switch {
	case err != nil:
		return nil, err
	case form.URL == nil || form.Types == nil:
		return nil, invalid("The members url and types are needed.")
	}
	s := &Subscription{Subsystem: service.Subsystem, Client: service.ClientID, URL: *form.URL, Types: *form.Types, CreatedAt: p.now()}
	err = p.Outbox.subscribe(r.Context(), s)
	switch {
	case errors.Is(err, errTooMany):
		return nil, errMany
	case err != nil:
		return nil, err
	}
	body := bodyOf(s)
	body.Secret = p.secretOf(s.ID, s.secret)
	return &answer{http.StatusCreated, body}, nil
}

func (p *Publisher) listOwn(r *http.Request, _ string, service *rs.Service) (*answer, error) {
	own, err := p.Outbox.list(r.Context(), "WHERE subsystem = $1 ORDER BY created_at, id", service.Subsystem)
	if err != nil {
		return nil, err
	}
	bodies := make([]*subscriptionBody, len(own))
	for i, s := range own {
		bodies[i] = bodyOf(s)
	}
	return &answer{http.StatusOK, map[string]any{"subscriptions": bodies}}, nil
}

// own finds a subscription of the subsystem that asks. Another's is not there.
func (p *Publisher) own(ctx context.Context, id string, service *rs.Service) (*Subscription, error) {
	s, err := readSubscription(ctx, p.Outbox.DB, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errNoSuch
	case err != nil:
		return nil, err
	case s.Subsystem != service.Subsystem:
		return nil, errNoSuch
	}
	return s, nil
}

func (p *Publisher) read(r *http.Request, id string, service *rs.Service) (*answer, error) {
	s, err := p.own(r.Context(), id, service)
	if err != nil {
		return nil, err
	}
	return &answer{http.StatusOK, bodyOf(s)}, nil
}

func (p *Publisher) change(r *http.Request, id string, service *rs.Service) (*answer, error) {
	s, err := p.own(r.Context(), id, service)
	if err != nil {
		return nil, err
	}
	form, err := p.parseForm(r)
	if err != nil {
		return nil, err
	}
	if form.Types != nil {
		s.Types = *form.Types
	}
	if form.URL != nil && *form.URL != s.URL {
		s.URL, s.State, s.Reason = *form.URL, Unverified, ""
	}
	if err := p.Outbox.change(r.Context(), s); err != nil {
		return nil, err
	}
	return &answer{http.StatusOK, bodyOf(s)}, nil
}

func (p *Publisher) remove(r *http.Request, id string, service *rs.Service) (*answer, error) {
	s, err := p.own(r.Context(), id, service)
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, p.Outbox.unsubscribe(r.Context(), s.ID)
}

func (p *Publisher) rotate(r *http.Request, id string, service *rs.Service) (*answer, error) {
	s, err := p.own(r.Context(), id, service)
	if err != nil {
		return nil, err
	}
	err = p.Outbox.rotate(r.Context(), s, p.now())
	switch {
	case errors.Is(err, errChanged):
		return nil, errMeanwhile
	case err != nil:
		return nil, err
	}
	body := bodyOf(s)
	body.Secret = p.secretOf(s.ID, s.secret)
	return &answer{http.StatusOK, body}, nil
}

// verify asks the url whether it wants these events, so that nobody can have
// them sent to an address of another's that knows nothing of it. All that goes
// wrong has one answer: it would tell what is behind the address.
func (p *Publisher) verify(r *http.Request, id string, service *rs.Service) (*answer, error) {
	ctx := r.Context()
	s, err := p.own(ctx, id, service)
	if err != nil {
		return nil, err
	}
	now := p.now()
	if free, err := p.Outbox.challenge(ctx, s.ID, now); err != nil {
		return nil, err
	} else if !free {
		return nil, errChallenged
	}
	if err := p.ask(ctx, s, now); err != nil {
		p.log.WarnContext(ctx, "event subscription not verified", "subscription", s.ID, "subsystem", s.Subsystem, "error", outgoing.Detail(err))
		return nil, errChallenge
	}
	err = p.Outbox.verified(ctx, s, now)
	switch {
	case errors.Is(err, errChanged):
		return nil, errMeanwhile
	case err != nil:
		return nil, err
	}
	s.State, s.Reason = Active, ""
	return &answer{http.StatusOK, bodyOf(s)}, nil
}

// ask sends a challenge and reads the answer to it.
func (p *Publisher) ask(ctx context.Context, s *Subscription, now time.Time) error {
	challenge := rand.Text()
	body, err := encodeJSON(map[string]string{"type": "verification", "challenge": challenge})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	p.prepareRequest(request, s, body, rand.Text(), now)
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	read, err := outgoing.ReadBody(response)
	if err != nil {
		return err
	}
	var got struct {
		Challenge string `json:"challenge"`
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(read, &got) != nil ||
		subtle.ConstantTimeCompare([]byte(got.Challenge), []byte(challenge)) != 1 {
		return fmt.Errorf("answered %d and not the challenge", response.StatusCode)
	}
	return nil
}
