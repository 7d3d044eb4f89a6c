package subjects

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of a request.
const (
	MaxSubjects = 1000
	maxBody     = 64 << 10
)

// request is a parsed request: subjects of from that are to become those of to.
type request struct {
	From     string
	To       string
	Subjects []string
}

// parseRequest reads the body: one JSON object with just the members from, to
// and subjects.
func parseRequest(w http.ResponseWriter, r *http.Request) (*request, error) {
	body, err := web.ReadJSON(w, r, maxBody)
	if err != nil {
		return nil, err
	}
	return readRequest(body)
}

var errNotJSON = oauth.Refuse(oauth.InvalidRequest, "The body is not a JSON object with the members from, to and subjects.")

// readRequest reads tokens instead of a struct: encoding/json would take unknown,
// repeated and differently cased members without a word.
func readRequest(body []byte) (*request, error) {
	tokens := json.NewDecoder(bytes.NewReader(body))
	if !nextIs(tokens, json.Delim('{')) {
		return nil, errNotJSON
	}
	var read request
	seen := map[string]bool{}
	for tokens.More() {
		name, err := nextString(tokens)
		if err != nil {
			return nil, errNotJSON
		}
		if seen[name] {
			return nil, oauth.Refuse(oauth.InvalidRequest, "A member of the body is there twice.")
		}
		seen[name] = true
		switch name {
		case "from":
			read.From, err = nextString(tokens)
		case "to":
			read.To, err = nextString(tokens)
		case "subjects":
			read.Subjects, err = nextStrings(tokens)
		default:
			return nil, oauth.Refuse(oauth.InvalidRequest, "The body has a member that is none of from, to and subjects.")
		}
		if err != nil {
			return nil, refuseMember(name, err)
		}
	}
	if !nextIs(tokens, json.Delim('}')) {
		return nil, errNotJSON
	}
	if _, err := tokens.Token(); !errors.Is(err, io.EOF) {
		return nil, oauth.Refuse(oauth.InvalidRequest, "There is something behind the JSON object in the body.")
	}
	for _, name := range []string{"from", "to", "subjects"} {
		if !seen[name] {
			return nil, oauth.Refuse(oauth.InvalidRequest, "The member "+name+" is missing in the body.")
		}
	}
	return &read, nil
}

// Faults of a member.
var (
	errNotString  = errors.New("must be a string")
	errNotStrings = errors.New("must be a list of strings")
	errTooMany    = errors.New("has more than " + strconv.Itoa(MaxSubjects) + " entries; send them in several requests")
)

func refuseMember(name string, err error) error {
	for _, fault := range []error{errNotString, errNotStrings, errTooMany} {
		if errors.Is(err, fault) {
			return oauth.Refuse(oauth.InvalidRequest, "The member "+name+" "+fault.Error()+".")
		}
	}
	return errNotJSON
}

func nextIs(tokens *json.Decoder, want json.Token) bool {
	token, err := tokens.Token()
	return err == nil && token == want
}

func nextString(tokens *json.Decoder) (string, error) {
	token, err := tokens.Token()
	if err != nil {
		return "", err
	}
	text, ok := token.(string)
	if !ok {
		return "", errNotString
	}
	return text, nil
}

// nextStrings reads a list of strings in one go: it is most of the body.
func nextStrings(tokens *json.Decoder) ([]string, error) {
	var raw json.RawMessage
	if err := tokens.Decode(&raw); err != nil {
		return nil, err
	}
	var list []string
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, errNotStrings
	}
	switch {
	case len(list) > MaxSubjects:
		return nil, errTooMany
	case slices.Contains(list, "") && hasNull(raw):
		return nil, errNotStrings
	}
	return list, nil
}

// hasNull tells a null in a list from an empty string, which encoding/json takes
// for the same.
func hasNull(raw json.RawMessage) bool {
	var list []*string
	return json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil)
}
