package registry

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// entries lists the keys of a map, each once, and keeps their places.
func (r reader) entries(node ast.Node, path string) ([]entry, bool) {
	pairs, ok := mapping(node)
	if !ok {
		r.wrongType(node, path, "a map", "write `key: value`, each on a line of its own")
		return nil, false
	}
	lines := map[string]int{}
	list := make([]entry, 0, len(pairs))
	for _, pair := range pairs {
		at := placeOf(pair.Key)
		if _, merge := pair.Key.(*ast.MergeKeyNode); merge {
			r.lose(path, "merge keys are not used in a group file", "write the keys out")
			return nil, false
		}
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			stray := below(path, pair.Key.String())
			r.names[stray] = at
			r.name(stray, "is no name", "write `name: value`; put a name that looks like a number in quotes")
			continue
		}
		e := entry{key: key.Value, path: below(path, key.Value), value: pair.Value}
		if first, twice := lines[e.key]; twice {
			r.push(e.path, at, fmt.Sprintf("is there twice, first on line %d", first), "remove one of them")
			continue
		}
		lines[e.key] = at.line
		r.names[e.path], r.values[e.path] = at, at
		if scalar, ok := pair.Value.(ast.ScalarNode); ok {
			r.values[e.path] = placeOf(scalar)
		}
		list = append(list, e)
	}
	return list, true
}

// mapping lists the pairs of a map node.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}

// placeOf is where a node begins; of a map that is its first key.
func placeOf(node ast.Node) place {
	if pairs, ok := mapping(node); ok && len(pairs) > 0 {
		if flow, ok := node.(*ast.MappingNode); !ok || !flow.IsFlowStyle {
			return placeOf(pairs[0].Key)
		}
	}
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return place{line: 1, column: 1}
	}
	position := node.GetToken().Position
	return place{line: position.Line, column: position.Column}
}

// keysOf lists the keys of a struct of the model, in the order of its fields.
func keysOf(t reflect.Type) []string {
	keys := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// fieldOf finds the field of a key.
func fieldOf(t reflect.Type, key string) (int, bool) {
	for i := range t.NumField() {
		if keyOf(t.Field(i)) == key {
			return i, true
		}
	}
	return 0, false
}

func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return key
}
