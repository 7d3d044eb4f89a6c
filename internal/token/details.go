package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of authorization_details.
const (
	maxDetails  = 50
	maxEventID  = 128
	oldestEvent = 30 * 24 * time.Hour
	aheadAtMost = time.Minute // a publisher's clock may be before ours
)

// parseDetails reads authorization_details (RFC 9396 §2): a list of objects, each
// of which asks for the credential of one event for one receiver. It reads
// tokens instead of structs: encoding/json would take unknown, repeated and
// differently cased members without a word, which RFC 9396 §5 has us refuse.
func parseDetails(text string, now time.Time) ([]oauth.EventDetail, error) {
	tokens := json.NewDecoder(strings.NewReader(text))
	tokens.UseNumber()
	first, _ := tokens.Token()
	if !json.Valid([]byte(text)) || first != json.Delim('[') {
		return nil, oauth.Refuse(oauth.InvalidAuthorizationDetails, "The authorization_details are not a JSON list.")
	}
	var details []oauth.EventDetail
	for tokens.More() {
		if len(details) == maxDetails {
			return nil, refuse(oauth.InvalidAuthorizationDetails,
				"The authorization_details have more than %d elements; send them in several requests.", maxDetails)
		}
		detail, err := readDetail(tokens)
		if err == nil {
			err = checkDetail(&detail, details, now)
		}
		if err != nil {
			return nil, refuse(oauth.InvalidAuthorizationDetails, "Element %d of the authorization_details %v.", len(details)+1, err)
		}
		details = append(details, detail)
	}
	if len(details) == 0 {
		return nil, oauth.Refuse(oauth.InvalidAuthorizationDetails, "The authorization_details have no element.")
	}
	return details, nil
}

// Faults of an element, as what is said of it.
var (
	errNotObject  = errors.New("is not an object")
	errTwice      = errors.New("has a member twice")
	errUnknown    = errors.New("has a member that is none of type, receiver, event_type, event_id, body_sha256 and happened_at")
	errNotText    = errors.New("is not a string")
	errNotSeconds = errors.New("is not a whole number of seconds since 1970")

	errDetailType = errors.New("has a type that is not " + oauth.DetailEvent + ", the only one there is")
	errEventID    = fmt.Errorf("has an event_id that is not 1 to %d printable ASCII characters without spaces", maxEventID)
	errBodySHA256 = errors.New("has a body_sha256 that is not a SHA-256 in base64url without padding, 43 characters")
	errHappenedAt = errors.New("has a happened_at that is more than 30 days ago, or ahead of now")
	errSameEvent  = errors.New("has the receiver and the event_id of another element, so that the receiver would take the two events for one")
)

// readDetail reads one element of a text that is valid JSON.
func readDetail(tokens *json.Decoder) (detail oauth.EventDetail, err error) {
	if token, err := tokens.Token(); err != nil || token != json.Delim('{') {
		return detail, errNotObject
	}
	var seen []string
	for tokens.More() {
		token, err := tokens.Token()
		name, ok := token.(string)
		switch {
		case err != nil || !ok:
			return detail, errNotObject
		case slices.Contains(seen, name):
			return detail, errTwice
		}
		seen = append(seen, name)
		switch name {
		case "type":
			detail.Type, err = nextText(tokens)
		case "receiver":
			detail.Receiver, err = nextText(tokens)
		case "event_type":
			detail.EventType, err = nextText(tokens)
		case "event_id":
			detail.EventID, err = nextText(tokens)
		case "body_sha256":
			detail.BodySHA256, err = nextText(tokens)
		case "happened_at":
			detail.HappenedAt, err = nextSeconds(tokens)
		default:
			return detail, errUnknown
		}
		if err != nil {
			return detail, fmt.Errorf("has a member %s that %w", name, err)
		}
	}
	for _, name := range []string{"type", "receiver", "event_type", "event_id", "body_sha256"} {
		if !slices.Contains(seen, name) {
			return detail, errors.New("has no member " + name)
		}
	}
	_, err = tokens.Token() // the end of the object
	return detail, err
}

func nextText(tokens *json.Decoder) (string, error) {
	token, err := tokens.Token()
	text, ok := token.(string)
	if err != nil || !ok {
		return "", errNotText
	}
	return text, nil
}

// nextSeconds reads a time. Zero is none: it would be taken for one left out.
func nextSeconds(tokens *json.Decoder) (int64, error) {
	token, err := tokens.Token()
	number, ok := token.(json.Number)
	if err != nil || !ok {
		return 0, errNotSeconds
	}
	seconds, err := number.Int64()
	if err != nil || seconds <= 0 {
		return 0, errNotSeconds
	}
	return seconds, nil
}

// checkDetail checks the values of an element that comes after others. Whether
// the event is declared is for the group to say.
func checkDetail(detail *oauth.EventDetail, before []oauth.EventDetail, now time.Time) error {
	switch {
	case detail.Type != oauth.DetailEvent:
		return errDetailType
	case !isEventID(detail.EventID):
		return errEventID
	case !isSHA256(detail.BodySHA256):
		return errBodySHA256
	case detail.HappenedAt != 0 && (detail.HappenedAt < now.Add(-oldestEvent).Unix() || detail.HappenedAt > now.Add(aheadAtMost).Unix()):
		return errHappenedAt
	}
	for i := range before {
		if before[i].Receiver == detail.Receiver && before[i].EventID == detail.EventID {
			return errSameEvent
		}
	}
	return nil
}

func isEventID(id string) bool {
	if id == "" || len(id) > maxEventID {
		return false
	}
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7e {
			return false
		}
	}
	return true
}

// isSHA256 reports whether a text is a digest in its one spelling: the decoder
// would skip line breaks.
func isSHA256(text string) bool {
	const size = 32
	var digest [size + 1]byte
	if len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(digest[:], []byte(text))
	return err == nil && n == size
}
