package rs

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// tag is a field's `ppid:"user[,required][,keys]"`.
type tag struct {
	user     bool
	required bool
	keys     bool // of a map: the keys are the users, not the values
}

func parseTag(field reflect.StructField) (tag, error) {
	text, tagged := field.Tag.Lookup("ppid")
	if !tagged || text == "-" {
		return tag{}, nil
	}
	if !field.IsExported() {
		return tag{}, errors.New("a field with a ppid tag must be exported")
	}
	kind, rest, _ := strings.Cut(text, ",")
	if kind != "user" {
		return tag{}, fmt.Errorf("ppid tag %q: it starts with user", text)
	}
	parsed := tag{user: true}
	for option := range strings.SplitSeq(rest, ",") {
		switch option {
		case "":
		case "required":
			parsed.required = true
		case "keys":
			parsed.keys = true
		default:
			return tag{}, fmt.Errorf("ppid tag %q: options are required and keys", text)
		}
	}
	return parsed, nil
}

// tagIndex remembers which types can hold a tagged field, so that the rest of
// a value (times, bytes, large lists of numbers) is not walked.
type tagIndex struct{ types sync.Map }

func (x *tagIndex) within(t reflect.Type) bool {
	if known, ok := x.types.Load(t); ok {
		return known.(bool)
	}
	found := holdsTag(t, make(map[reflect.Type]bool))
	x.types.Store(t, found)
	return found
}

// holdsTag looks through a type; under holds those it is in the middle of.
func holdsTag(t reflect.Type, under map[reflect.Type]bool) bool {
	if under[t] {
		return false
	}
	under[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true // known only by its value
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return holdsTag(t.Elem(), under)
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			if _, tagged := field.Tag.Lookup("ppid"); tagged || holdsTag(field.Type, under) {
				return true
			}
		}
	}
	return false
}
