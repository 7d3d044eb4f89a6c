package rar

import (
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
)

// Narrowing is how a member may differ in a detail that asks for less.
type Narrowing string

// The narrowings. A member without one stays as it is.
const (
	AtMost Narrowing = "at_most" // a number, or a text that is one: no larger
	Subset Narrowing = "subset"  // a list: some of the elements
)

// Narrowings are all there are.
var Narrowings = []string{string(AtMost), string(Subset)}

// common are the members of RFC 9396 §2.2 that list what is allowed, so that fewer
// of them are always less.
var common = map[string]Narrowing{"actions": Subset, "datatypes": Subset, "privileges": Subset, memberLocations: Subset}

// Within reports whether a detail asks for no more than another of the same type
// gave. narrow has the members that may differ, by their path as in amount.value.
func (d Detail) Within(held Detail, narrow map[string]Narrowing) bool {
	if d.Type != held.Type {
		return false
	}
	asked, gave := d.members, held.members
	if held.Locations == nil { // it was for every resource, so to name some is less
		asked = maps.Clone(asked)
		delete(asked, memberLocations)
	}
	return within(asked, gave, "", narrow)
}

func within(asked, held any, path string, narrow map[string]Narrowing) bool {
	how := narrow[path]
	if how == "" {
		how = common[path]
	}
	switch held := held.(type) {
	case map[string]any:
		asked, ok := asked.(map[string]any)
		if !ok || len(asked) != len(held) {
			return false // what is left out might be a limit
		}
		for name, value := range asked {
			other, ok := held[name]
			if !ok || !within(value, other, below(path, name), narrow) {
				return false
			}
		}
		return true
	case []any:
		asked, ok := asked.([]any)
		if !ok || len(asked) == 0 {
			return ok && len(held) == 0
		}
		if how == Subset {
			return !slices.ContainsFunc(asked, func(item any) bool {
				return !slices.ContainsFunc(held, func(other any) bool { return same(item, other) })
			})
		}
		return same(asked, held)
	default:
		return same(asked, held) || how == AtMost && atMost(asked, held)
	}
}

// atMost compares two numbers, or two texts that are numbers. It says nothing of what
// is below zero.
func atMost(asked, held any) bool {
	if reflect.TypeOf(asked) != reflect.TypeOf(held) {
		return false
	}
	a, b := number(asked), number(held)
	return a != nil && b != nil && a.Sign() >= 0 && a.Cmp(b) <= 0
}

// number reads a number without an exponent; nil for what is none.
func number(value any) *big.Rat {
	var text string
	switch value := value.(type) {
	case json.Number:
		text = value.String()
	case string:
		text = value
	}
	if len(text) > maxNumber || !decimal(text) {
		return nil
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return n
}

// decimal reports whether a text is digits with a point among them at most, and
// perhaps a minus before.
func decimal(text string) bool {
	points, digits := 0, 0
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && digits > 0:
			points++
		case c != '-' || i > 0:
			return false
		}
	}
	return digits > 0 && points <= 1
}

// same reports whether two values are equal; numbers also where they are written
// differently.
func same(a, b any) bool {
	x, number1 := a.(json.Number)
	y, number2 := b.(json.Number)
	if number1 && number2 {
		return number(x).Cmp(number(y)) == 0
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, same)
	}
	return a == b
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// Equal reports whether two details say the same.
func (d Detail) Equal(other Detail) bool { return same(d.members, other.members) }
