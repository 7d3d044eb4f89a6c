package rp

import (
	"context"
	"fmt"

	"github.com/sekisho-id/sekisho/oauth"
)

// Reissued is what this client's sector knows a person by. Both are empty where the
// server knows nobody by the subject that was asked about.
type Reissued struct {
	Subject string
	Former  string // before the sector was re-keyed; empty where that is not taken any more, or the same
}

// Reissue tells what people are known by in this client's own sector since it was
// re-keyed, by subjects of before or of now. The answer has the order of the
// question. A client whose sector never was gets invalid_scope.
func (c *Client) Reissue(ctx context.Context, subjects []string) ([]Reissued, error) {
	reissued := make([]Reissued, len(subjects))
	return reissued, inBatches(subjects, func(places []int, batch []string) error {
		token, err := c.serviceToken(ctx, c.Issuer, []string{oauth.ScopeReissue})
		if err != nil {
			return err
		}
		question := map[string][]string{"subjects": batch}
		var answer struct {
			Subjects []*string `json:"subjects"`
			Former   []*string `json:"former"`
		}
		endpoint := c.api + "/subjects/reissue"
		if err := c.postJSON(ctx, endpoint, token.AccessToken, question, &answer); err != nil {
			return err
		}
		if len(answer.Subjects) != len(batch) || len(answer.Former) != len(batch) {
			return fmt.Errorf("rp: %d and %d subjects were issued again, for %d", len(answer.Subjects), len(answer.Former), len(batch))
		}
		for i, place := range places {
			if answer.Subjects[i] != nil {
				reissued[place].Subject = *answer.Subjects[i]
			}
			if answer.Former[i] != nil {
				reissued[place].Former = *answer.Former[i]
			}
		}
		return nil
	})
}
