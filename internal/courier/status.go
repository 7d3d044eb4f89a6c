package courier

import (
	"net/http"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

const maxReason = 256

// streamStatus is the status of a stream, asked for and told (SSF 1.0 §8.1.2).
type streamStatus struct {
	StreamID string       `json:"stream_id"`
	Status   StreamStatus `json:"status"`
	Reason   string       `json:"reason,omitempty"`
}

// Status is the status endpoint (SSF 1.0 §8.1.2).
func (c *Courier) Status(w http.ResponseWriter, r *http.Request) {
	answer, err := c.status(w, r)
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	web.WriteJSON(w, http.StatusOK, answer)
}

func (c *Courier) status(w http.ResponseWriter, r *http.Request) (streamStatus, error) {
	if err := web.AllowMethods(w, r, http.MethodGet, http.MethodPost); err != nil {
		return streamStatus{}, err
	}
	if r.Method == http.MethodGet {
		return c.readStatus(w, r)
	}
	k, err := c.receiver(w, r, oauth.ScopeStreamManage)
	if err != nil {
		return streamStatus{}, err
	}
	body, err := web.ReadJSON(w, r, maxStreamBody)
	if err != nil {
		return streamStatus{}, err
	}
	wanted, err := readStatusForm(body)
	if err != nil {
		return streamStatus{}, err
	}
	return wanted, c.setStatus(k, wanted)
}

func (c *Courier) readStatus(w http.ResponseWriter, r *http.Request) (answer streamStatus, err error) {
	k, err := c.receiver(w, r, oauth.ScopeStreamRead, oauth.ScopeStreamManage)
	if err != nil {
		return answer, err
	}
	id, named, err := streamID(r)
	if err != nil {
		return answer, err
	}
	if !named {
		return answer, invalid("The parameter stream_id is missing.")
	}
	err = c.DB.Read(r.Context(), func(tx *db.Tx) error {
		s, err := ownStream(r.Context(), tx, k, id)
		if err == nil {
			answer = streamStatus{StreamID: s.ID, Status: s.Status, Reason: s.Reason}
		}
		return err
	})
	return answer, err
}

func readStatusForm(body []byte) (streamStatus, error) {
	var form streamStatus
	if err := readObject(body, &form); err != nil {
		return form, err
	}
	switch {
	case form.StreamID == "":
		return form, invalid("The member stream_id is missing.")
	case form.Status != StreamEnabled && form.Status != StreamPaused && form.Status != StreamDisabled:
		return form, invalid("The member status must be enabled, paused or disabled.")
	case !plainText(form.Reason, maxReason):
		return form, invalid("The member reason must be at most %d bytes of text without control characters.", maxReason)
	}
	return form, nil
}

// setStatus does what a receiver wants (SSF 1.0 §8.1.2.2). No stream-updated
// event goes out: that is for changes the receiver did not ask for.
func (c *Courier) setStatus(k call, wanted streamStatus) error {
	err := c.changeOwn(k, wanted.StreamID, audit.StreamChanged, func(tx *db.Tx, s *Stream) (map[string]any, error) {
		detail := map[string]any{"before": string(s.Status)}
		s.Status, s.Reason = wanted.Status, wanted.Reason
		if s.Status == StreamEnabled {
			return detail, outbox.Hurry(k.Context(), tx, c.Now(), s.ID)
		}
		return detail, nil
	})
	if err != nil || wanted.Status != StreamDisabled {
		return err
	}
	return c.drop(k.Context(), wanted.StreamID)
}
