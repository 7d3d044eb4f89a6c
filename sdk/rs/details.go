package rs

import (
	"encoding/json"
	"fmt"
	"slices"
)

// DetailsOf reads the authorization details of one type that a token holds for this
// API (RFC 9396 §2), each into a T by its json tags. What they do not allow is for the
// handler to refuse: a token without any is good for nothing that takes them.
func DetailsOf[T any](user *User, kind string) ([]T, error) {
	var list []json.RawMessage
	if len(user.Details) > 0 {
		if err := json.Unmarshal(user.Details, &list); err != nil {
			return nil, fmt.Errorf("rs: authorization details: %w", err)
		}
	}
	var details []T
	for _, item := range list {
		var head detailHead
		if err := json.Unmarshal(item, &head); err != nil || head.Type != kind {
			continue
		}
		var detail T
		if err := json.Unmarshal(item, &detail); err != nil {
			return nil, fmt.Errorf("rs: authorization detail %s: %w", kind, err)
		}
		details = append(details, detail)
	}
	return details, nil
}

// detailHead are the members that every type has.
type detailHead struct {
	Type      string   `json:"type"`
	Locations []string `json:"locations"`
}

// detailsFor keeps of a token's authorization details those that are for an API: that
// name it among their locations, or name none.
func detailsFor(audience string, claim json.RawMessage) json.RawMessage {
	if len(claim) == 0 {
		return nil
	}
	var list, own []json.RawMessage
	_ = json.Unmarshal(claim, &list) // what is no list lets nobody do anything
	for _, item := range list {
		var head detailHead
		if json.Unmarshal(item, &head) == nil && (head.Locations == nil || slices.Contains(head.Locations, audience)) {
			own = append(own, item)
		}
	}
	if own == nil {
		return nil
	}
	kept, err := json.Marshal(own)
	if err != nil {
		return nil
	}
	return kept
}
