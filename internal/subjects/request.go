package subjects

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of a request.
const (
	MaxSubjects = 1000
	maxBody     = 64 << 10
)

// The members of the two kinds of request; each must be there, and no other.
var (
	convertForm = form{"from", "to", "subjects"}
	reissueForm = form{"subjects"}
)

// request is a parsed request: subjects of from that are to become those of to, or
// former ones of the asker's own.
type request struct {
	From     string
	To       string
	Subjects []string
}

// parseRequest reads the body: one JSON object with just these members.
func parseRequest(w http.ResponseWriter, r *http.Request, members form) (*request, error) {
	body, err := web.ReadJSON(w, r, maxBody)
	if err != nil {
		return nil, err
	}
	return readRequest(body, members)
}

// form is what a body of a kind must be, in words.
type form []string

func (f form) notJSON() error {
	return oauth.Refuse(oauth.InvalidRequest, "The body is not a JSON object with just "+f.String()+".")
}

func (f form) hasMore() error {
	return oauth.Refuse(oauth.InvalidRequest, "The body has other members than "+f.String()+".")
}

// String lists the members as a sentence has them: from, to and subjects.
func (f form) String() string {
	if last := len(f) - 1; last > 0 {
		return strings.Join(f[:last], ", ") + " and " + f[last]
	}
	return f[0]
}

// readRequest reads tokens instead of a struct: encoding/json would take unknown,
// repeated and differently cased members without a word.
func readRequest(body []byte, members form) (*request, error) {
	tokens := json.NewDecoder(bytes.NewReader(body))
	if !nextIs(tokens, json.Delim('{')) {
		return nil, members.notJSON()
	}
	var read request
	seen := map[string]bool{}
	for tokens.More() {
		name, err := nextString(tokens)
		if err != nil {
			return nil, members.notJSON()
		}
		if seen[name] {
			return nil, oauth.Refuse(oauth.InvalidRequest, "A member of the body is there twice.")
		}
		seen[name] = true
		if !slices.Contains(members, name) {
			return nil, members.hasMore()
		}
		switch name {
		case "from":
			read.From, err = nextString(tokens)
		case "to":
			read.To, err = nextString(tokens)
		case "subjects":
			read.Subjects, err = nextStrings(tokens)
		}
		if err != nil {
			return nil, members.refuseMember(name, err)
		}
	}
	if !nextIs(tokens, json.Delim('}')) {
		return nil, members.notJSON()
	}
	if _, err := tokens.Token(); !errors.Is(err, io.EOF) {
		return nil, oauth.Refuse(oauth.InvalidRequest, "There is something behind the JSON object in the body.")
	}
	for _, name := range members {
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

func (f form) refuseMember(name string, err error) error {
	for _, fault := range []error{errNotString, errNotStrings, errTooMany} {
		if errors.Is(err, fault) {
			return oauth.Refuse(oauth.InvalidRequest, "The member "+name+" "+fault.Error()+".")
		}
	}
	return f.notJSON()
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
