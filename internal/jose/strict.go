package jose

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/go-jose/go-jose/v4/json"
)

// Decode reads one JSON object into a value, strictly: member names match
// exactly, no object names a member twice (not even in another case), and
// nothing is nested deeper than 16. Two readers then cannot understand the
// same bytes differently (RFC 8725 §3.10 asks for care here).
func Decode(data []byte, into any) error {
	if err := checkShape(data); err != nil {
		return err
	}
	return DecodePart(data, into)
}

// DecodePart reads into a value what Decode has read before, or a part of it,
// without walking through all of it again.
func DecodePart(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("jose: JSON: %w", err)
	}
	return nil
}

// level is one open object or array during the walk of checkShape.
type level struct {
	names map[string]bool // nil in an array
	name  bool            // a member name comes next
}

func checkShape(data []byte) error {
	decoder := stdjson.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var open []level
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return errors.New("jose: JSON: empty")
		}
		if err != nil {
			return fmt.Errorf("jose: JSON: %w", err)
		}
		if len(open) == 0 && token != stdjson.Delim('{') {
			return errors.New("jose: JSON: not an object")
		}
		open, err = step(open, token)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			break
		}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("jose: JSON: something follows the object")
	}
	return nil
}

// fold gives names that differ in case only one spelling, also where a letter
// has three cases (the long s, the Kelvin sign), as encoding/json takes them.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

// step takes one token of the walk.
func step(open []level, token stdjson.Token) ([]level, error) {
	if len(open) > 0 {
		top := &open[len(open)-1]
		if name, ok := token.(string); ok && top.name {
			folded := fold(name)
			if top.names[folded] {
				return nil, fmt.Errorf("jose: JSON: member %.40q is there twice", name)
			}
			top.names[folded], top.name = true, false
			return open, nil
		}
		top.name = top.names != nil // a value; in an object a name follows it
	}
	switch token {
	case stdjson.Delim('{'):
		open = append(open, level{names: map[string]bool{}, name: true})
	case stdjson.Delim('['):
		open = append(open, level{})
	case stdjson.Delim('}'), stdjson.Delim(']'):
		open = open[:len(open)-1]
	}
	if len(open) > maxDepth {
		return nil, fmt.Errorf("jose: JSON: nested deeper than %d", maxDepth)
	}
	return open, nil
}
