package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Limits of authorization details. They travel in tokens, and those in headers.
const (
	MaxDetails = 10
	MaxText    = 4 << 10
	maxNesting = 6
	maxNumber  = 32 // characters
)

// Members that every type has (RFC 9396 §2): a schema says nothing of them.
const (
	memberType      = "type"
	memberLocations = "locations"
)

// Detail is one authorization detail.
type Detail struct {
	Type      string
	Locations []string       // audiences of the resources it is for; nil for all that know the type
	members   map[string]any // all of them; numbers are json.Number
}

// Details are the authorization details of one request, grant or token.
type Details []Detail

// Parse reads authorization_details. The error says what is wrong in words that may
// be shown, as in "element 2 has no type".
func Parse(text string) (Details, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("they have more than %d bytes", MaxText)
	}
	r := reader{json.NewDecoder(strings.NewReader(text))}
	r.UseNumber()
	if token, err := r.Token(); err != nil || token != json.Delim('[') {
		return nil, errors.New("they are not a JSON list")
	}
	var details Details
	for r.More() {
		if len(details) == MaxDetails {
			return nil, fmt.Errorf("they have more than %d elements", MaxDetails)
		}
		value, err := r.value(0)
		var detail Detail
		if err == nil {
			detail, err = newDetail(value)
		}
		if err != nil {
			return nil, fmt.Errorf("element %d %w", len(details)+1, err)
		}
		details = append(details, detail)
	}
	if _, err := r.Token(); err != nil {
		return nil, errNotJSON
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotJSON
	}
	if len(details) == 0 {
		return nil, errors.New("they have no element")
	}
	if len(details.JSON()) > MaxText { // with escapes, as they are kept
		return nil, fmt.Errorf("they have more than %d bytes", MaxText)
	}
	return details, nil
}

var errNotJSON = errors.New("is not JSON")

func newDetail(value any) (Detail, error) {
	members, ok := value.(map[string]any)
	if !ok {
		return Detail{}, errors.New("is not an object")
	}
	d := Detail{members: members}
	if d.Type, _ = members[memberType].(string); d.Type == "" {
		return Detail{}, errors.New("has no type")
	}
	locations, named := members[memberLocations]
	if !named {
		return d, nil
	}
	list, _ := locations.([]any)
	for _, item := range list {
		location, ok := item.(string)
		if !ok {
			return Detail{}, errors.New("has locations that are not a list of URIs")
		}
		d.Locations = append(d.Locations, location)
	}
	if len(d.Locations) == 0 {
		return Detail{}, errors.New("has locations that are not a list of URIs")
	}
	return d, nil
}

// reader reads JSON as encoding/json does, but takes no member twice: of two amounts
// a person might be shown the one and an API might take the other.
type reader struct{ *json.Decoder }

func (r reader) value(depth int) (any, error) {
	token, err := r.Token()
	if err != nil {
		return nil, errNotJSON
	}
	switch token := token.(type) {
	case json.Delim:
		if depth == maxNesting {
			return nil, fmt.Errorf("is nested deeper than %d", maxNesting)
		}
		if token == '[' {
			return r.list(depth + 1)
		}
		return r.object(depth + 1)
	case json.Number:
		// An exponent would make a small text a number as large as it likes.
		if len(token) > maxNumber || strings.ContainsAny(token.String(), "eE") {
			return nil, errors.New("has a number with an exponent or with too many digits")
		}
	}
	return token, nil
}

func (r reader) list(depth int) (any, error) {
	list := []any{}
	for r.More() {
		item, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, r.end()
}

func (r reader) object(depth int) (any, error) {
	object := map[string]any{}
	for r.More() {
		token, err := r.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNotJSON
		}
		if _, twice := object[name]; twice {
			return nil, errors.New("has a member twice")
		}
		if object[name], err = r.value(depth); err != nil {
			return nil, err
		}
	}
	return object, r.end()
}

func (r reader) end() error {
	if _, err := r.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// MarshalJSON writes the members, sorted.
func (d Detail) MarshalJSON() ([]byte, error) { return json.Marshal(d.members) }

// JSON writes the details as Parse reads them; nil for none.
func (ds Details) JSON() json.RawMessage {
	if len(ds) == 0 {
		return nil
	}
	text, err := json.Marshal([]Detail(ds))
	if err != nil {
		panic("rar: what was read as JSON cannot be written: " + err.Error())
	}
	return text
}

// Types lists the types, each once, sorted.
func (ds Details) Types() []string {
	var types []string
	for _, d := range ds {
		types = append(types, d.Type)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// For reports whether a detail is meant for a resource, if that knows its type.
func (d Detail) For(audience string) bool {
	return d.Locations == nil || slices.Contains(d.Locations, audience)
}
