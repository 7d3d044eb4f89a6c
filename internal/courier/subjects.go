package courier

import (
	"net/http"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// AddSubject puts a person back on a stream (SSF 1.0 §8.1.3.2). Everybody is on
// it from the start.
func (c *Courier) AddSubject(w http.ResponseWriter, r *http.Request) {
	if err := c.changeSubject(w, r, true); err != nil {
		c.refuse(w, r, err)
		return
	}
	noContent(w, http.StatusOK)
}

// RemoveSubject takes a person off a stream (SSF 1.0 §8.1.3.3).
func (c *Courier) RemoveSubject(w http.ResponseWriter, r *http.Request) {
	if err := c.changeSubject(w, r, false); err != nil {
		c.refuse(w, r, err)
		return
	}
	noContent(w, http.StatusNoContent)
}

// subjectForm is the body of both requests. Whether the receiver has verified
// the subject does not matter here: its own identifiers need no verifying.
type subjectForm struct {
	StreamID string           `json:"stream_id"`
	Subject  *oauth.SubjectID `json:"subject"`
}

func readSubjectForm(body []byte) (subjectForm, error) {
	var form subjectForm
	if err := readObject(body, &form); err != nil {
		return form, err
	}
	switch {
	case form.StreamID == "":
		return form, invalid("The member stream_id is missing.")
	case form.Subject == nil || form.Subject.Format != oauth.FormatIssuerSubject:
		return form, invalid("The member subject must have the format %s.", oauth.FormatIssuerSubject)
	case form.Subject.Issuer == "" || form.Subject.Subject == "":
		return form, invalid("The member subject must have the members iss and sub.")
	}
	return form, nil
}

func (c *Courier) changeSubject(w http.ResponseWriter, r *http.Request, add bool) error {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return err
	}
	k, err := c.receiver(w, r, oauth.ScopeStreamManage)
	if err != nil {
		return err
	}
	if !c.doors.rates.Take(c.Now(), k.client.ID, k.client.Rate, k.client.Burst) {
		return tooMany{what: "Too many requests.", retryAfter: time.Second}
	}
	body, err := web.ReadJSON(w, r, maxStreamBody)
	if err != nil {
		return err
	}
	form, err := readSubjectForm(body)
	if err != nil {
		return err
	}
	// Somebody who is not there, or is another's, is answered like somebody who is
	// (SSF 1.0 §9.1).
	who, err := c.Pairwise.ResolveOne(r.Context(), k.client.Subsystem.Sector, form.Subject.Subject)
	if err != nil {
		return err
	}
	known := !who.Nobody() && form.Subject.Issuer == c.Mint.Issuer
	return c.DB.Update(r.Context(), func(tx *db.Tx) error {
		s, err := ownStream(r.Context(), tx, k, form.StreamID)
		if err != nil {
			return err
		}
		what, change := "added", addPerson
		if !add {
			what, change = "removed", removePerson
		}
		if known {
			if err := change(r.Context(), tx, s.ID, who.Handle); err != nil {
				return err
			}
		}
		return c.appendRecord(k, tx, audit.StreamChanged, s, map[string]any{"subject": what})
	})
}
