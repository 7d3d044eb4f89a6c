package registry

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
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
		if adjacent(pair) {
			stray := below(path, key.Value)
			r.names[stray] = at
			r.name(stray, "has no space after its colon", "write the space, or put a name with a colon in quotes")
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

// joined undoes what the parser does to an item such as http://127.0.0.1:80/ in
// a list within braces: it takes the text for a map of one key. By YAML 1.2
// §7.3.3 a colon without a space after it is part of the text.
func joined(node ast.Node) ast.Node {
	pairs, ok := mapping(node)
	if !ok || len(pairs) != 1 || !adjacent(pairs[0]) {
		return node
	}
	if m, ok := node.(*ast.MappingNode); ok && m.Start != nil && m.Start.Type == token.MappingStartType {
		return node // in braces of its own
	}
	key := pairs[0].Key.GetToken()
	return &ast.StringNode{BaseNode: new(ast.BaseNode), Token: key, Value: key.Value + ":" + pairs[0].Value.GetToken().Value}
}

// adjacent reports whether a plain key, its colon and a plain value stand next
// to each other.
func adjacent(pair *ast.MappingValueNode) bool {
	value, ok := pair.Value.(ast.ScalarNode)
	if !ok || pair.Value.Type() == ast.NullType {
		return false
	}
	key, colon := pair.Key.GetToken(), pair.Start
	if quoted(key) || quoted(value.GetToken()) || colon == nil {
		return false
	}
	at := value.GetToken().Position
	return at.Line == colon.Position.Line && at.Column == colon.Position.Column+1
}

func quoted(t *token.Token) bool { return t.Indicator == token.QuotedScalarIndicator }

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
