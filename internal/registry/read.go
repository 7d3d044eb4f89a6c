package registry

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader reads the nodes of a file into the declared model. The json tags of
// the model are the keys of the file. It goes on after a fault.
type reader struct{ *report }

// entry is one key of a map with what it holds.
type entry struct {
	key   string
	path  string
	value ast.Node
}

// Types of the model that have two forms, or any form, in the file.
var (
	typeText = reflect.TypeFor[Text]()
	typeUser = reflect.TypeFor[GroupUser]()
	typeJSON = reflect.TypeFor[json.RawMessage]()
	typeDoc  = reflect.TypeFor[Document]()
)

// read reads a node into a value.
func (r reader) read(node ast.Node, into reflect.Value, path string) {
	node = joined(node)
	if !r.plain(node, path) {
		return
	}
	switch into.Type() {
	case typeText:
		r.readText(node, into, path)
		return
	case typeUser:
		r.readUser(node, into, path)
		return
	case typeJSON:
		r.readJSON(node, into, path, "write the keys as in a JWK set", asText)
		return
	case typeDoc:
		r.readJSON(node, into.Field(0), path, "write the schema as a map", asNumber)
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		r.read(node, into.Elem(), path)
	case reflect.Struct:
		r.readStruct(node, into, path)
	case reflect.Map:
		r.readMap(node, into, path)
	case reflect.Slice:
		r.readSlice(node, into, path)
	case reflect.String:
		if text, ok := r.text(node, path); ok {
			into.SetString(text)
		}
	case reflect.Bool:
		if b, ok := node.(*ast.BoolNode); ok {
			into.SetBool(b.Value)
			return
		}
		r.wrongType(node, path, "true or false", "write `true` or `false`, without quotes")
	case reflect.Int:
		r.readInt(node, into, path)
	default:
		panic("registry: the model has a " + into.Kind().String())
	}
}

// plain refuses what a group file does not use, and empty values.
func (r reader) plain(node ast.Node, path string) bool {
	switch node.(type) {
	case nil, *ast.NullNode:
		r.lose(path, "has no value", "give it one, or remove the key")
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		r.lose(path, "anchors, aliases and merge keys are not used in a group file", "write the value out")
	case *ast.TagNode:
		r.lose(path, "tags are not used in a group file", "write the value without the tag")
	default:
		return true
	}
	return false
}

// wrongType is the fault of a node that is not of the type wanted.
func (r reader) wrongType(node ast.Node, path, want, hint string) {
	r.lose(path, "must be "+want+", not "+kindOf(node), hint)
}

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	default:
		return strings.ToLower(node.Type().String())
	}
}

// text reads a scalar as text.
func (r reader) text(node ast.Node, path string) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		r.wrongType(node, path, "text", "put it in quotes: "+quote(node.GetToken().Value))
	default:
		r.wrongType(node, path, "text", "write one value")
	}
	return "", false
}

const maxInt = 1 << 31

func (r reader) readInt(node ast.Node, into reflect.Value, path string) {
	n, ok := node.(*ast.IntegerNode)
	if !ok {
		r.wrongType(node, path, "a whole number", "write digits, without quotes")
		return
	}
	switch value := n.Value.(type) {
	case int64:
		if value > -maxInt && value < maxInt {
			into.SetInt(value)
			return
		}
	case uint64:
		if value < maxInt {
			into.SetInt(int64(value))
			return
		}
	}
	r.lose(path, "is no number of a sensible size", "write a smaller one")
}

// readStruct reads a map with a fixed set of keys.
func (r reader) readStruct(node ast.Node, into reflect.Value, path string) {
	entries, ok := r.entries(node, path)
	if !ok {
		return
	}
	known := keysOf(into.Type())
	for _, e := range entries {
		index, ok := fieldOf(into.Type(), e.key)
		if !ok {
			r.name(e.path, "is not a key that exists here", unknownKey(e.key, known))
			if near, ok := nearest(e.key, known); ok {
				r.told[below(path, near)] = true // it is meant, so it is not missing
			}
			continue
		}
		r.read(e.value, into.Field(index), e.path)
	}
}

// readMap reads a map from names to values.
func (r reader) readMap(node ast.Node, into reflect.Value, path string) {
	entries, ok := r.entries(node, path)
	if !ok {
		return
	}
	into.Set(reflect.MakeMapWithSize(into.Type(), len(entries)))
	for _, e := range entries {
		value := reflect.New(into.Type().Elem()).Elem()
		if value.Kind() == reflect.Pointer {
			value.Set(reflect.New(value.Type().Elem())) // also where it cannot be read: the name is known then
		}
		r.read(e.value, value, e.path)
		into.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}

func (r reader) readSlice(node ast.Node, into reflect.Value, path string) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		hint := "write each item on a line of its own, after a hyphen"
		if _, scalar := node.(ast.ScalarNode); scalar {
			hint = "write [" + node.GetToken().Value + "]"
		}
		r.wrongType(node, path, "a list", hint)
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(sequence.Values), len(sequence.Values)))
	for i, item := range sequence.Values {
		itemPath := fmt.Sprintf("%s[%d]", path, i)
		r.values[itemPath] = placeOf(item)
		r.read(item, into.Index(i), itemPath)
	}
}

// readText reads a text in its short or its long form.
func (r reader) readText(node ast.Node, into reflect.Value, path string) {
	if _, ok := mapping(node); ok {
		var members textMembers
		r.readStruct(node, reflect.ValueOf(&members).Elem(), path)
		into.Set(reflect.ValueOf(Text(members)))
		return
	}
	if text, ok := r.text(node, path); ok {
		into.Set(reflect.ValueOf(Text{En: text}))
	}
}

// readUser reads a scope of a call in its short or its long form.
func (r reader) readUser(node ast.Node, into reflect.Value, path string) {
	if _, ok := mapping(node); ok {
		r.readStruct(node, into, path)
		return
	}
	if text, ok := r.text(node, path); ok {
		into.Set(reflect.ValueOf(GroupUser{Scope: text}))
	}
}

// readJSON reads a map of any form, as JSON.
func (r reader) readJSON(node ast.Node, into reflect.Value, path, hint string, number func(ast.Node) any) {
	if _, ok := mapping(node); !ok {
		r.wrongType(node, path, "a map", hint+", or name a file with `"+path[strings.LastIndexByte(path, '.')+1:]+"_file:`")
		return
	}
	data, err := json.Marshal(r.anything(node, path, number))
	if err != nil {
		r.lose(path, "cannot be read: "+err.Error(), "")
		return
	}
	into.SetBytes(data)
}

// asText reads a number as the text that it was: in the values of keys base64url may
// look like one.
func asText(node ast.Node) any { return node.GetToken().Value }

// asNumber reads a number as one.
func asNumber(node ast.Node) any {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	default:
		return node.GetToken().Value // .inf and .nan, which JSON does not have
	}
}

// anything reads a node of any form, and numbers as number does.
func (r reader) anything(node ast.Node, path string, number func(ast.Node) any) any {
	node = joined(node)
	if !r.plain(node, path) {
		return nil
	}
	switch n := node.(type) {
	case *ast.SequenceNode:
		items := make([]any, len(n.Values))
		for i, item := range n.Values {
			itemPath := fmt.Sprintf("%s[%d]", path, i)
			r.values[itemPath] = placeOf(item)
			items[i] = r.anything(item, itemPath, number)
		}
		return items
	case *ast.BoolNode:
		return n.Value
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return number(node)
	}
	members := map[string]any{}
	entries, _ := r.entries(node, path)
	for _, e := range entries {
		members[e.key] = r.anything(e.value, e.path, number)
	}
	return members
}
