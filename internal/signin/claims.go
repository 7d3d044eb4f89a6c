package signin

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// claimsRequest is the claims parameter (OIDC Core §5.5). Members other than
// these two are ignored, as are claims we do not know.
type claimsRequest struct {
	UserInfo map[string]*claimRequest `json:"userinfo"`
	IDToken  map[string]*claimRequest `json:"id_token"`
}

// claimRequest is what is asked about one claim (OIDC Core §5.5.1); null in JSON
// asks for it without further wishes.
type claimRequest struct {
	Essential bool              `json:"essential"`
	Value     json.RawMessage   `json:"value"`
	Values    []json.RawMessage `json:"values"`
}

var errClaims = errors.New("claims is not as OIDC Core 5.5 has it")

func parseClaims(text string) (*claimsRequest, error) {
	claims := new(claimsRequest)
	if text == "" {
		return claims, nil
	}
	if err := jose.Decode([]byte(text), claims); err != nil {
		return nil, errors.Join(errClaims, err)
	}
	return claims, nil
}

// texts are the values that would do; empty when any does. A value that is no
// text does not match anything of ours, but is one that was asked for.
func (c *claimRequest) texts() []string {
	if c == nil {
		return nil
	}
	wanted := c.Values
	if len(c.Value) > 0 && !bytes.Equal(c.Value, []byte("null")) {
		wanted = append(slices.Clone(wanted), c.Value)
	}
	texts := make([]string, 0, len(wanted))
	for _, raw := range wanted {
		var text string
		_ = json.Unmarshal(raw, &text) // no text stays empty and matches nothing
		texts = append(texts, text)
	}
	return texts
}
