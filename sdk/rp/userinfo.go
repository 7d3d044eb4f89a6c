package rp

import "encoding/json"

// userinfo keeps the answer as it came, beside the one member that is checked.
type userinfo struct {
	Subject string
	raw     json.RawMessage
}

func (u *userinfo) UnmarshalJSON(data []byte) error {
	var answer struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return err
	}
	u.Subject, u.raw = answer.Subject, append(json.RawMessage(nil), data...)
	return nil
}

func (u *userinfo) decode(claims any) error { return json.Unmarshal(u.raw, claims) }
