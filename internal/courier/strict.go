package courier

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sekisho-id/sekisho/internal/jose"
)

var errNotObject = invalid("The body is not one JSON object, without repeated members and not nested too deep.")

// readObject reads one JSON object: no member twice, in whatever case, nothing
// deeper than 16. Members it does not know are ignored, as the specifications of
// streams want it, whose newer versions have more.
func readObject(body []byte, into any) error {
	return readMembers(body, into, jose.Decode, nil)
}

// readStrict is readObject for our own endpoints: a member that is none of the
// names is a mistake that nobody would notice.
func readStrict(body []byte, into any, names ...string) error {
	return readMembers(body, into, jose.Decode, func(name string) bool { return slices.Contains(names, name) })
}

// readPart is readStrict for an object within one that was read by it.
func readPart(part []byte, into any, names ...string) error {
	return readMembers(part, into, jose.DecodePart, func(name string) bool { return slices.Contains(names, name) })
}

func readMembers(body []byte, into any, decode func([]byte, any) error, known func(name string) bool) error {
	var members map[string]json.RawMessage
	if !utf8.Valid(body) || decode(body, &members) != nil || members == nil {
		return errNotObject
	}
	for name := range members {
		if known != nil && !known(name) {
			return invalid("The body has a member that this endpoint does not know.")
		}
	}
	if jose.DecodePart(body, into) != nil {
		return invalid("A member of the body has a value of another type than it must have.")
	}
	return nil
}

// plainText reports whether a text that is kept and told again is free of
// control characters and not longer than it may be.
func plainText(text string, most int) bool {
	return len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
