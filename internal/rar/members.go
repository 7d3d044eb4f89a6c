package rar

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Member is something of a detail that a person is shown: Value is a text, a number
// or true or false.
type Member struct {
	Path  string // as in amount.value
	Value any
}

// Members lists all members but the type and the locations: those of the paths in
// order first, then the others by their path.
func (d Detail) Members(order []string) []Member {
	members := maps.Clone(d.members)
	delete(members, memberType)
	delete(members, memberLocations)
	rest := flatten(members, "")
	var list []Member
	for _, path := range order {
		for _, member := range rest {
			if member.Path == path {
				list = append(list, member)
			}
		}
	}
	for _, member := range rest {
		if !slices.Contains(order, member.Path) {
			list = append(list, member)
		}
	}
	return list
}

// flatten lists the values within a value by their paths. A list of texts and
// numbers is one value.
func flatten(value any, path string) []Member {
	switch value := value.(type) {
	case map[string]any:
		var list []Member
		for _, name := range slices.Sorted(maps.Keys(value)) {
			list = append(list, flatten(value[name], below(path, name))...)
		}
		return list
	case []any:
		var list []Member
		var words []string
		for i, item := range value {
			switch item := item.(type) {
			case string:
				words = append(words, item)
			case json.Number:
				words = append(words, item.String())
			default:
				list = append(list, flatten(item, fmt.Sprintf("%s.%d", path, i+1))...)
			}
		}
		if len(words) > 0 || len(list) == 0 {
			list = append([]Member{{path, strings.Join(words, ", ")}}, list...)
		}
		return list
	case nil:
		return []Member{{path, ""}}
	case json.Number:
		return []Member{{path, value.String()}}
	default:
		return []Member{{path, value}}
	}
}
