package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// node is the part of JSON Schema that the schema uses.
type node struct {
	Ref                  string           `json:"$ref"`
	Defs                 map[string]*node `json:"$defs"`
	Type                 string           `json:"type"`
	Description          string           `json:"description"`
	Properties           map[string]*node `json:"properties"`
	AdditionalProperties json.RawMessage  `json:"additionalProperties"`
	PropertyNames        *node            `json:"propertyNames"`
	Required             []string         `json:"required"`
	Items                *node            `json:"items"`
	OneOf                []*node          `json:"oneOf"`
	Not                  *node            `json:"not"`
	Enum                 []any            `json:"enum"`
	Pattern              string           `json:"pattern"`
	Minimum              *float64         `json:"minimum"`
	Maximum              *float64         `json:"maximum"`
}

func schema(t *testing.T) *node {
	t.Helper()
	root := new(node)
	if err := json.Unmarshal(registry.Schema(), root); err != nil {
		t.Fatal(err)
	}
	return root
}

// conforms says where a value does not conform to a schema.
func (root *node) conforms(n *node, value any, path string) error {
	if n.Ref != "" {
		return root.conforms(root.Defs[strings.TrimPrefix(n.Ref, "#/$defs/")], value, path)
	}
	if len(n.OneOf) > 0 {
		for _, one := range n.OneOf {
			if root.conforms(one, value, path) == nil {
				return nil
			}
		}
		return fmt.Errorf("%s: none of the forms", path)
	}
	if len(n.Enum) > 0 && !slices.Contains(n.Enum, value) {
		return fmt.Errorf("%s: %v is not one of %v", path, value, n.Enum)
	}
	if n.Not != nil && root.conforms(n.Not, value, path) == nil {
		return fmt.Errorf("%s: %v is one of those excluded", path, value)
	}
	switch v := value.(type) {
	case map[string]any:
		if n.Type != "object" {
			return fmt.Errorf("%s: a map, want %s", path, n.Type)
		}
		return root.object(n, v, path)
	case []any:
		if n.Type != "array" {
			return fmt.Errorf("%s: a list, want %s", path, n.Type)
		}
		for i, item := range v {
			if err := root.conforms(n.Items, item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case string:
		if n.Type != "string" && len(n.Enum) == 0 && n.Pattern == "" {
			return fmt.Errorf("%s: text, want %s", path, n.Type)
		}
		if n.Pattern != "" && !regexp.MustCompile(n.Pattern).MatchString(v) {
			return fmt.Errorf("%s: %q is not like %s", path, v, n.Pattern)
		}
	case bool:
		if n.Type != "boolean" {
			return fmt.Errorf("%s: a boolean, want %s", path, n.Type)
		}
	case uint64:
		if n.Type != "integer" || float64(v) < *n.Minimum || float64(v) > *n.Maximum {
			return fmt.Errorf("%s: %d, want %s", path, v, n.Type)
		}
	default:
		return fmt.Errorf("%s: %T", path, value)
	}
	return nil
}

func (root *node) object(n *node, members map[string]any, path string) error {
	for _, name := range n.Required {
		if _, ok := members[name]; !ok {
			return fmt.Errorf("%s: no %s", path, name)
		}
	}
	for name, member := range members {
		at := path + "." + name
		if n.PropertyNames != nil {
			if err := root.conforms(n.PropertyNames, name, at); err != nil {
				return err
			}
		}
		property, ok := n.Properties[name]
		if !ok {
			if string(n.AdditionalProperties) == "false" {
				return fmt.Errorf("%s: is unknown", at)
			}
			if n.AdditionalProperties == nil {
				continue
			}
			property = new(node)
			if err := json.Unmarshal(n.AdditionalProperties, property); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
		if err := root.conforms(property, member, at); err != nil {
			return err
		}
	}
	return nil
}

func TestExampleConformsToSchema(t *testing.T) {
	t.Parallel()
	root := schema(t)
	for _, name := range []string{"group.yaml", "group.golden.json"} {
		var group any
		if err := yaml.Unmarshal(read(t, name), &group); err != nil {
			t.Fatal(err)
		}
		if err := root.conforms(root, group, "group"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaAndParseKnowTheSame holds, over all the wrong files, that what the
// schema refuses Parse refuses, and that an unknown key is refused by both.
func TestSchemaAndParseKnowTheSame(t *testing.T) {
	t.Parallel()
	root := schema(t)
	archive, err := txtar.ParseFile(filepath.Join("testdata", "faults.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, file := range archive.Files {
		if !strings.HasPrefix(file.Name, "key-") || !strings.HasSuffix(file.Name, ".yaml") {
			continue
		}
		var group any
		if yaml.Unmarshal(file.Data, &group) != nil {
			continue // twice the same key: an editor says so without a schema
		}
		if root.conforms(root, group, "group") == nil {
			t.Errorf("%s: the schema knows the key", file.Name)
		}
		refused++
		var faults registry.Faults
		if _, err := registry.Parse(file.Name, file.Data, files); !errors.As(err, &faults) {
			t.Errorf("%s: Parse knows the key: %v", file.Name, err)
		}
	}
	if refused < 5 {
		t.Errorf("%d files with unknown keys, fewer than expected", refused)
	}
}

func TestSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	root := schema(t)
	parts := map[string]*node{"group": root}
	for name, part := range root.Defs {
		parts[name] = part
	}
	for name, part := range parts {
		for key, property := range part.Properties {
			if property.Description == "" {
				t.Errorf("%s.%s has no description", name, key)
			}
		}
	}
}
