package rar

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Schema is what a type allows beside type and locations: a JSON Schema (2020-12
// unless it says otherwise) of an object. Members that it does not name are refused
// (RFC 9396 §5), also in the objects within.
type Schema struct {
	compiled *jsonschema.Schema
	document map[string]any
}

// schemaURL names the one document there is; nothing is loaded from anywhere.
const schemaURL = "urn:sekisho:schema"

// Compile reads a schema. The error may be shown.
func Compile(text []byte) (*Schema, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	document, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("is not an object")
	}
	if kind, named := document["type"]; named && kind != "object" {
		return nil, errors.New("is not of an object: every authorization detail is one")
	}
	document["type"] = "object"
	if document["properties"] == nil {
		document["properties"] = map[string]any{}
	}
	closeObjects(document)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.AssertFormat()
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		var invalid *jsonschema.SchemaValidationError
		if errors.As(err, &invalid) {
			err = innermost(invalid.Err)
		}
		return nil, fmt.Errorf("is no JSON Schema: %w", err)
	}
	return &Schema{compiled: compiled, document: document}, nil
}

type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("it refers to another document, and none is loaded")
}

// closeObjects lets no object have members that are not named.
func closeObjects(schema any) {
	switch schema := schema.(type) {
	case map[string]any:
		for _, part := range schema {
			closeObjects(part)
		}
		if _, named := schema["properties"].(map[string]any); !named {
			return
		}
		_, additional := schema["additionalProperties"]
		_, unevaluated := schema["unevaluatedProperties"]
		if !additional && !unevaluated {
			schema["additionalProperties"] = false
		}
	case []any:
		for _, part := range schema {
			closeObjects(part)
		}
	}
}

// Check holds a detail against the schema. The error says what is wrong, as in
// "amount: got string, want number", and may be shown.
func (s *Schema) Check(d Detail) error {
	members := maps.Clone(d.members)
	delete(members, memberType)
	delete(members, memberLocations)
	return innermost(s.compiled.Validate(members))
}

// innermost says in one line what a value does not fit: where it is, and why.
func innermost(err error) error {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	what := invalid.ErrorKind.LocalizedString(english)
	if at := strings.Join(invalid.InstanceLocation, "."); at != "" {
		return errors.New(at + ": " + what)
	}
	return errors.New(what)
}

var english = message.NewPrinter(language.English)

// MayHave reports whether a detail may have a member of this path, as in
// amount.value. It is true where the schema leaves that to its other parts.
func (s *Schema) MayHave(path string) bool {
	at := s.document
	for name := range strings.SplitSeq(path, ".") {
		for _, keyword := range []string{"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"} {
			if _, there := at[keyword]; there {
				return true
			}
		}
		properties, _ := at["properties"].(map[string]any)
		property, there := properties[name]
		if !there {
			return false
		}
		at, _ = property.(map[string]any)
	}
	return true
}
