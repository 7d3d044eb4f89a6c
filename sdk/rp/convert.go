package rp

import (
	"context"
	"fmt"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of one conversion request.
const (
	maxSubjects     = 1000
	maxSubjectBytes = 255
	maxBodyBytes    = 60 << 10 // of 64 KiB, the rest is for names and brackets
)

// Convert turns pairwise subjects of subsystem from into those of subsystem
// to; one of the two must be this client's own, and an edge must join them.
// The answer has the order of the question, with an empty string where the
// server knows nobody. Long lists are sent in several requests.
func (c *Client) Convert(ctx context.Context, from, to string, subjects []string) ([]string, error) {
	converted := make([]string, len(subjects))
	return converted, inBatches(subjects, func(places []int, batch []string) error {
		answer, err := c.convertBatch(ctx, from, to, batch)
		if err != nil {
			return err
		}
		for i, subject := range answer {
			if subject != nil {
				converted[places[i]] = *subject
			}
		}
		return nil
	})
}

// inBatches gives subjects to send, as many at a time as one request takes, with
// their places among all. What can be nobody's is left out.
func inBatches(subjects []string, send func(places []int, batch []string) error) error {
	var places []int
	var batch []string
	size := 0 // of batch as JSON
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := send(places, batch); err != nil {
			return err
		}
		places, batch, size = places[:0], batch[:0], 0
		return nil
	}
	for i, subject := range subjects {
		if !sendable(subject) {
			continue // nobody has it, so nobody needs to be asked
		}
		length := len(`"",`) + len(subject) + strings.Count(subject, `"`) + strings.Count(subject, `\`)
		if len(batch) == maxSubjects || size+length > maxBodyBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		places, batch, size = append(places, i), append(batch, subject), size+length
	}
	return flush()
}

// sendable reports whether a string can be a subject at all: printable ASCII.
func sendable(subject string) bool {
	if subject == "" || len(subject) > maxSubjectBytes {
		return false
	}
	for i := range len(subject) {
		if c := subject[i]; c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

func (c *Client) convertBatch(ctx context.Context, from, to string, subjects []string) ([]*string, error) {
	token, err := c.serviceToken(ctx, c.Issuer, []string{oauth.ScopeConvert})
	if err != nil {
		return nil, err
	}
	type question struct {
		From     string   `json:"from"`
		To       string   `json:"to"`
		Subjects []string `json:"subjects"`
	}
	var answer struct {
		Subjects []*string `json:"subjects"`
	}
	endpoint := c.api + "/subjects/convert"
	if err := c.postJSON(ctx, endpoint, token.AccessToken, question{from, to, subjects}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Subjects) != len(subjects) {
		return nil, fmt.Errorf("rp: the conversion answered %d subjects for %d", len(answer.Subjects), len(subjects))
	}
	return answer.Subjects, nil
}
