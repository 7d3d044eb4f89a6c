package courier

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sekisho-id/sekisho/internal/appendjson"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of a poll.
const (
	maxPolled  = 100 // SETs of one answer
	maxSettled = 1000
	maxPollErr = 200 // bytes of what a receiver says of a SET it cannot take
	maxWait    = 10 * time.Second
)

// pollForm is the body of a poll (RFC 8936 §2.2, §2.4).
type pollForm struct {
	MaxEvents         *int                `json:"maxEvents"`
	ReturnImmediately bool                `json:"returnImmediately"`
	Ack               []string            `json:"ack"`
	SetErrs           map[string]setFault `json:"setErrs"`
}

// setFault is why a receiver cannot take a SET (RFC 8936 §2.6).
type setFault struct {
	Err         string `json:"err"`
	Description string `json:"description"`
}

// polled is the answer to a poll (RFC 8936 §2.3).
type polled struct {
	Sets          polledSETs `json:"sets"`
	MoreAvailable bool       `json:"moreAvailable"`
}

// polledSETs are SETs by their jti. They are written in the order of the stream,
// for those who read them in order; as a JSON object they have none.
type polledSETs []polledSET

type polledSET struct{ id, set string }

// MarshalJSON writes the object of RFC 8936 §2.3.
func (s polledSETs) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, one := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendjson.String(b, one.id), ':')
		b = appendjson.String(b, one.set)
	}
	return append(b, '}'), nil
}

// Poll is where a receiver fetches the events of its stream (RFC 8936).
func (c *Courier) Poll(w http.ResponseWriter, r *http.Request) {
	answer, err := c.poll(w, r)
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	web.WriteJSON(w, http.StatusOK, answer)
}

func (c *Courier) poll(w http.ResponseWriter, r *http.Request) (*polled, error) {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return nil, err
	}
	// Who polls takes events away, so looking is not enough.
	k, err := c.receiver(w, r, oauth.ScopeStreamManage)
	if err != nil {
		return nil, err
	}
	s, err := c.polledStream(k, r.PathValue("stream"))
	if err != nil {
		return nil, err
	}
	body, err := web.ReadJSON(w, r, maxStreamBody)
	if err != nil {
		return nil, err
	}
	form, err := readPollForm(body)
	if err != nil {
		return nil, err
	}
	web.Event(r.Context()).Set("acknowledged", len(form.Ack))
	if err := c.settlePolled(k, s, form); err != nil {
		return nil, err
	}
	answer, err := c.awaitSETs(k, s, form)
	if answer != nil {
		web.Event(r.Context()).Set("sets", len(answer.Sets))
	}
	return answer, err
}

// polledStream loads the stream of a poll. One that is pushed is not there.
func (c *Courier) polledStream(k call, id string) (s *Stream, err error) {
	err = c.DB.Read(k.Context(), func(tx *db.Tx) error {
		s, err = ownStream(k.Context(), tx, k, id)
		if err == nil && s.Method != oauth.DeliveryPoll {
			return errNoStream
		}
		return err
	})
	return s, err
}

func readPollForm(body []byte) (pollForm, error) {
	var form pollForm
	if err := readObject(body, &form); err != nil {
		return form, err
	}
	switch {
	case form.MaxEvents != nil && *form.MaxEvents < 0:
		return form, invalid("The member maxEvents must not be less than 0.")
	case len(form.Ack) > maxSettled || len(form.SetErrs) > maxSettled:
		return form, invalid("More than %d SETs are settled at once.", maxSettled)
	}
	return form, nil
}

// settlePolled does away with what the receiver has, and buries what it says it
// can never take. What is none of this stream's counts for nothing.
func (c *Courier) settlePolled(k call, s *Stream, form pollForm) error {
	if len(form.Ack) == 0 && len(form.SetErrs) == 0 {
		return nil
	}
	return c.DB.Update(k.Context(), func(tx *db.Tx) error {
		now := c.Now()
		if _, err := outbox.DoneByID(k.Context(), tx, now, s.ID, form.Ack); err != nil {
			return err
		}
		buried := 0
		for id, fault := range form.SetErrs {
			found, err := outbox.BuryByID(k.Context(), tx, now, s.ID, id, fault.String())
			if err != nil {
				return err
			}
			if found {
				buried++
			}
		}
		if buried == 0 {
			return nil
		}
		return c.appendRecord(k, tx, audit.StreamFaults, s, map[string]any{"events": buried})
	})
}

// String is the fault as it is kept: what the receiver says, and no more of it
// than somebody will read.
func (f setFault) String() string {
	text := "receiver: " + f.Err
	if f.Description != "" {
		text += ": " + f.Description
	}
	text = outbox.CleanFault(text) // first, so that nothing of an identifier is left over by the cut
	return text[:min(len(text), maxPollErr)]
}

// awaitSETs gives what waits in the stream, at once or as soon as something
// comes (RFC 8936 §2.2: returnImmediately).
func (c *Courier) awaitSETs(k call, s *Stream, form pollForm) (*polled, error) {
	most := maxPolled
	if form.MaxEvents != nil {
		most = min(most, *form.MaxEvents)
	}
	if most == 0 {
		return c.waitingSETs(k, s.ID, 0)
	}
	ctx, cancel := context.WithTimeout(k.Context(), c.doors.pollWait)
	defer cancel()
	last, err := c.lastDelivery(ctx)
	if err != nil {
		return nil, err
	}
	w, ok := c.doors.waiting.enter(s.ID, last)
	if !ok {
		return nil, tooMany{what: "Other polls of this stream are under way.", retryAfter: time.Second}
	}
	defer c.doors.waiting.leave(w)
	for {
		answer, err := c.waitingSETs(k, s.ID, most)
		if err != nil || len(answer.Sets) > 0 || form.ReturnImmediately {
			return answer, err
		}
		if answer.MoreAvailable {
			continue // all of these were lost; the next ones may not be
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			return answer, k.Context().Err()
		}
	}
}

func (c *Courier) lastDelivery(ctx context.Context) (last int64, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		last, err = outbox.LastSeq(ctx, tx)
		return err
	})
	return last, err
}

// waitingSETs signs the oldest that wait in the stream, most at the most. A
// stream that is not enabled gives nothing (SSF 1.0 §8.1.2.1).
func (c *Courier) waitingSETs(k call, stream string, most int) (*polled, error) {
	answer := &polled{}
	var waiting []outbox.Delivery
	err := c.DB.Read(k.Context(), func(tx *db.Tx) error {
		s, err := ownStream(k.Context(), tx, k, stream)
		if err != nil || s.Status != StreamEnabled {
			return err
		}
		waiting, err = outbox.Pending(k.Context(), tx, stream, most+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(waiting) > most {
		answer.MoreAvailable, waiting = true, waiting[:most]
	}
	return answer, c.signPolled(k, stream, waiting, answer)
}

// signPolled puts the SETs into an answer. What can never be given is buried:
// the group does not let the receiver have it any more, or it does not open.
func (c *Courier) signPolled(k call, stream string, waiting []outbox.Delivery, answer *polled) error {
	lost := map[int64]string{}
	for i := range waiting {
		d := &waiting[i]
		if !mayHave(k.group, k.client.Subsystem, d.Type) {
			lost[d.Seq] = "the group does not declare this for the receiver any more"
			continue
		}
		m, err := c.open(d)
		if errors.Is(err, secret.ErrSealed) {
			lost[d.Seq] = "cannot be opened: sealed under another key"
			continue
		}
		if err != nil {
			return err
		}
		set, err := c.makeSET(k.client, d, m)
		if err != nil {
			return err
		}
		answer.Sets = append(answer.Sets, polledSET{d.ID, set})
	}
	if len(lost) == 0 {
		return nil
	}
	return c.DB.Update(k.Context(), func(tx *db.Tx) error {
		for seq, fault := range lost {
			if err := outbox.Bury(k.Context(), tx, c.Now(), stream, seq, fault); err != nil {
				return err
			}
		}
		return nil
	})
}

// mayHave reports whether a receiver may have a type of event now. Events about
// the stream itself it always may.
func mayHave(group *registry.Snapshot, receiver *registry.Subsystem, uri string) bool {
	if oauth.AboutStream(uri) {
		return true
	}
	event, ok := group.Event(uri)
	if !ok {
		return false
	}
	_, ok = event.Receiver(receiver.Name)
	return ok
}
