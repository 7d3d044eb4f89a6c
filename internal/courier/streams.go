package courier

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Streams is the configuration endpoint (SSF 1.0 §8.1.1).
func (c *Courier) Streams(w http.ResponseWriter, r *http.Request) {
	status, answer, err := c.streams(w, r)
	switch {
	case err != nil:
		c.refuse(w, r, err)
	case answer == nil:
		noContent(w, status)
	default:
		web.WriteJSON(w, status, answer)
	}
}

func (c *Courier) streams(w http.ResponseWriter, r *http.Request) (status int, answer any, err error) {
	err = web.AllowMethods(w, r, http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete)
	if err != nil {
		return 0, nil, err
	}
	if r.Method == http.MethodGet {
		answer, err = c.readStreams(w, r)
		return http.StatusOK, answer, err
	}
	k, err := c.receiver(w, r, oauth.ScopeStreamManage)
	if err != nil {
		return 0, nil, err
	}
	if r.Method == http.MethodDelete {
		return http.StatusNoContent, nil, c.removeStream(k)
	}
	body, err := web.ReadJSON(w, r, maxStreamBody)
	if err != nil {
		return 0, nil, err
	}
	form, err := readStreamForm(body)
	if err != nil {
		return 0, nil, err
	}
	if r.Method == http.MethodPost {
		answer, err = c.makeStream(k, form)
		return http.StatusCreated, answer, err
	}
	answer, err = c.changeStream(k, form)
	return http.StatusOK, answer, err
}

// readStreams reads one stream, or lists those there are (SSF 1.0 §8.1.1.2).
func (c *Courier) readStreams(w http.ResponseWriter, r *http.Request) (any, error) {
	k, err := c.receiver(w, r, oauth.ScopeStreamRead, oauth.ScopeStreamManage)
	if err != nil {
		return nil, err
	}
	id, named, err := streamID(r)
	if err != nil {
		return nil, err
	}
	var found *Stream
	err = c.DB.Read(r.Context(), func(tx *db.Tx) error {
		found, err = streamOf(r.Context(), tx, k.client.ID)
		return err
	})
	if !named && errors.Is(err, errNoStream) {
		return []streamConfiguration{}, nil
	}
	if err != nil {
		return nil, err
	}
	seen := c.configuration(k.group, k.client.Subsystem, found)
	switch {
	case !named:
		return []streamConfiguration{seen}, nil
	case id != found.ID:
		return nil, errNoStream
	}
	return seen, nil
}

// makeStream makes the one stream of a client (SSF 1.0 §8.1.1.1).
func (c *Courier) makeStream(k call, form streamForm) (any, error) {
	now := c.Now()
	s := &Stream{
		ID: secret.ID(), Client: k.client.ID, Receiver: k.client.Subsystem.Name,
		Method: oauth.DeliveryPoll, // unless the form says another, SSF 1.0 §8.1.1.1
		Status: StreamEnabled, CreatedAt: now, UpdatedAt: now,
	}
	if form.StreamID != "" {
		return nil, invalid("The member stream_id is set by this server; leave it out.")
	}
	if err := c.apply(&form, s); err != nil {
		return nil, err
	}
	seen := c.configuration(k.group, k.client.Subsystem, s)
	if err := form.matches(seen); err != nil {
		return nil, err
	}
	err := c.DB.Update(k.Context(), func(tx *db.Tx) error {
		if err := createStream(k.Context(), tx, s); err != nil {
			return err
		}
		return c.appendRecord(k, tx, audit.StreamCreated, s, nil)
	})
	if err != nil {
		return nil, err
	}
	web.Event(k.Context()).Set("stream", s.ID)
	return seen, nil
}

// changeStream updates a stream (PATCH, SSF 1.0 §8.1.1.3) or replaces it (PUT,
// §8.1.1.4): there what is left out is taken away, except delivery, without which
// there is no stream.
func (c *Courier) changeStream(k call, form streamForm) (any, error) {
	if form.StreamID == "" {
		return nil, invalid("The member stream_id is missing.")
	}
	if k.Method == http.MethodPut && form.Delivery == nil {
		return nil, invalid("The member delivery is missing; PATCH changes a part of a stream.")
	}
	var seen streamConfiguration
	err := c.changeOwn(k, form.StreamID, audit.StreamChanged, func(_ *db.Tx, s *Stream) (map[string]any, error) {
		if err := form.matches(c.configuration(k.group, k.client.Subsystem, s)); err != nil {
			return nil, err
		}
		if k.Method == http.MethodPut {
			s.Requested, s.Description = nil, ""
		}
		if err := c.apply(&form, s); err != nil {
			return nil, err
		}
		seen = c.configuration(k.group, k.client.Subsystem, s)
		return nil, nil
	})
	return seen, err
}

// removeStream deletes a stream and what still waits in it (SSF 1.0 §8.1.1.5).
func (c *Courier) removeStream(k call) error {
	id, named, err := streamID(k.Request)
	if err != nil {
		return err
	}
	if !named {
		return invalid("The parameter stream_id is missing.")
	}
	err = c.DB.Update(k.Context(), func(tx *db.Tx) error {
		s, err := ownStream(k.Context(), tx, k, id)
		if err != nil {
			return err
		}
		if err := deleteStream(k.Context(), tx, s.ID); err != nil {
			return err
		}
		return c.appendRecord(k, tx, audit.StreamDeleted, s, nil)
	})
	if err != nil {
		return err
	}
	return c.drop(k.Context(), id)
}

// drop removes what waits in a stream that takes nothing more, in small
// transactions.
func (c *Courier) drop(ctx context.Context, stream string) error {
	return c.batches(ctx, func(tx *db.Tx) (int64, error) { return outbox.Drop(ctx, tx, stream, sweepBatch) })
}

// ownStream loads a stream of the caller. One of somebody else is not there.
func ownStream(ctx context.Context, tx *db.Tx, k call, id string) (*Stream, error) {
	s, err := loadStream(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if s.Client != k.client.ID {
		return nil, errNoStream
	}
	web.Event(ctx).Set("stream", s.ID)
	return s, nil
}

// changeOwn changes a stream of the caller in one transaction, and records it.
func (c *Courier) changeOwn(k call, id string, what audit.Event, change func(*db.Tx, *Stream) (detail map[string]any, err error)) error {
	return c.DB.Update(k.Context(), func(tx *db.Tx) error {
		s, err := ownStream(k.Context(), tx, k, id)
		if err != nil {
			return err
		}
		detail, err := change(tx, s)
		if err != nil {
			return err
		}
		s.UpdatedAt = c.Now()
		if err := updateStream(k.Context(), tx, s); err != nil {
			return err
		}
		return c.appendRecord(k, tx, what, s, detail)
	})
}

// appendRecord records a change of a stream, without its header (check A4).
func (c *Courier) appendRecord(k call, tx *db.Tx, what audit.Event, s *Stream, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	detail["stream"], detail["method"], detail["status"] = s.ID, s.Method, string(s.Status)
	if address, err := url.Parse(s.Endpoint); err == nil && s.Endpoint != "" {
		detail["host"] = address.Host // a path or query may have a secret in it
	}
	return audit.Append(k.Context(), tx, c.record(k, audit.Record{Event: what, Outcome: audit.OK, Detail: detail}))
}
