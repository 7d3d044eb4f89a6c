package courier

import (
	"net/http"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

const maxVerificationState = 1 << 10

// verificationForm asks for a verification event (SSF 1.0 §8.1.4.2).
type verificationForm struct {
	StreamID string  `json:"stream_id"`
	State    *string `json:"state"`
}

// verification is the payload of a verification event (SSF 1.0 §8.1.4.1).
type verification struct {
	State *string `json:"state,omitempty"`
}

// Verify has a verification event sent on a stream.
func (c *Courier) Verify(w http.ResponseWriter, r *http.Request) {
	if err := c.verify(w, r); err != nil {
		c.refuse(w, r, err)
		return
	}
	noContent(w, http.StatusNoContent)
}

func (c *Courier) verify(w http.ResponseWriter, r *http.Request) error {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return err
	}
	k, err := c.receiver(w, r, oauth.ScopeStreamManage)
	if err != nil {
		return err
	}
	body, err := web.ReadJSON(w, r, maxStreamBody)
	if err != nil {
		return err
	}
	form, err := readVerificationForm(body)
	if err != nil {
		return err
	}
	now := c.Now()
	return c.DB.Update(r.Context(), func(tx *db.Tx) error {
		s, err := ownStream(r.Context(), tx, k, form.StreamID)
		if err != nil {
			return err
		}
		if s.Status == StreamDisabled {
			return invalid("The stream is disabled and sends nothing; set its status to enabled.")
		}
		taken, err := takeVerification(r.Context(), tx, s.ID, now, now.Add(-verificationInterval))
		if err != nil {
			return err
		}
		if !taken {
			return tooMany{
				what:       "Verifications are asked for more often than min_verification_interval allows.",
				retryAfter: s.VerifiedAt.Add(verificationInterval).Sub(now),
			}
		}
		return c.addStreamEvent(r.Context(), tx, s, oauth.EventVerification, verification{State: form.State})
	})
}

func readVerificationForm(body []byte) (verificationForm, error) {
	var form verificationForm
	if err := readObject(body, &form); err != nil {
		return form, err
	}
	switch {
	case form.StreamID == "":
		return form, invalid("The member stream_id is missing.")
	case form.State != nil && len(*form.State) > maxVerificationState:
		return form, invalid("The member state is longer than %d bytes.", maxVerificationState)
	}
	return form, nil
}
