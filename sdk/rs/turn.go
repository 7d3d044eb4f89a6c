package rs

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// maxDepth ends the walk through a value that holds itself.
const maxDepth = 200

// direction is In or Out: how strings are turned, and whether one that names
// nobody is an error in any field or only in required ones. After, where it is
// set, turns what convert found and the check let pass.
type direction struct {
	convert func(ctx context.Context, ids []string) ([]string, error)
	strict  bool
	after   func(ctx context.Context, ids []string) ([]string, error)
}

// FieldError tells which field of a value names no known user.
type FieldError struct {
	Path string // as in Go: Items[2].Seller
	Err  error  // ErrUnknownUser
}

func (e *FieldError) Error() string { return "rs: field " + e.Path + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// turn collects all identifiers in v, converts them in one go, and only then
// writes them back: v is turned as a whole or not at all.
func (m *Mapping) turn(ctx context.Context, v any, way direction) error {
	root := reflect.ValueOf(v)
	if root.Kind() != reflect.Pointer || root.IsNil() {
		return fmt.Errorf("rs: In and Out take a pointer to what they change, not %T", v)
	}
	found := finder{tags: &m.tags, seen: make(map[visit]bool)}
	if err := found.start(root); err != nil {
		return err
	}
	ids := make([]string, len(found.slots))
	for i, slot := range found.slots {
		ids[i] = slot.id
		if slot.id == "" && slot.required {
			return &FieldError{slot.path, ErrUnknownUser}
		}
	}
	turned, err := way.convert(ctx, ids)
	if err != nil {
		return err
	}
	for i, slot := range found.slots {
		if slot.id != "" && turned[i] == "" && (way.strict || slot.required) {
			return &FieldError{slot.path, ErrUnknownUser}
		}
	}
	if way.after != nil {
		if turned, err = way.after(ctx, turned); err != nil {
			return err
		}
	}
	for i, slot := range found.slots {
		slot.set(turned[i])
	}
	for _, finish := range found.finish {
		finish()
	}
	return nil
}

// slot is one place that holds an identifier.
type slot struct {
	path     string
	id       string
	required bool
	set      func(id string)
}

// visit marks what was walked, so that shared and circular pointers are
// turned once.
type visit struct {
	address uintptr
	of      reflect.Type
}

// finder walks a value and collects its slots. finish holds what must run
// after all are set: map entries are no variables and are put back whole, the
// inner before the outer.
type finder struct {
	tags   *tagIndex
	depth  int
	seen   map[visit]bool
	slots  []slot
	finish []func()
}

// start walks a root; a pointer to plain strings is all identifiers.
func (f *finder) start(root reflect.Value) error {
	if element := root.Type().Elem(); holdsOnlyStrings(element) {
		return f.identifiers(root.Elem(), "", tag{user: true})
	}
	return f.walk(root, "")
}

func holdsOnlyStrings(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String:
		return true
	case reflect.Slice, reflect.Array, reflect.Pointer, reflect.Map:
		return holdsOnlyStrings(t.Elem())
	default:
		return false
	}
}

// first reports whether a pointer or map is met for the first time.
func (f *finder) first(v reflect.Value) bool {
	mark := visit{v.Pointer(), v.Type()}
	if f.seen[mark] {
		return false
	}
	f.seen[mark] = true
	return true
}

// walk looks for tagged fields in v.
func (f *finder) walk(v reflect.Value, path string) error {
	if !f.tags.within(v.Type()) {
		return nil
	}
	if f.depth++; f.depth > maxDepth {
		return errors.New("rs: field " + path + ": nested too deeply")
	}
	defer func() { f.depth-- }()
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || !f.first(v) {
			return nil
		}
		return f.walk(v.Elem(), path)
	case reflect.Interface:
		return f.walkInterface(v, path)
	case reflect.Struct:
		return f.walkStruct(v, path)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := f.walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		if v.IsNil() || !f.first(v) {
			return nil
		}
		for entries := v.MapRange(); entries.Next(); {
			key := entries.Key()
			held := variable(entries.Value())
			if err := f.walk(held, fmt.Sprintf("%s[%v]", path, key)); err != nil {
				return err
			}
			f.finish = append(f.finish, func() { v.SetMapIndex(key, held) })
		}
	}
	return nil
}

// walkInterface walks what an interface holds; what is no pointer is copied,
// since it cannot be changed in place.
func (f *finder) walkInterface(v reflect.Value, path string) error {
	if v.IsNil() {
		return nil
	}
	if v.Elem().Kind() == reflect.Pointer {
		return f.walk(v.Elem(), path)
	}
	if !f.tags.within(v.Elem().Type()) {
		return nil
	}
	held := variable(v.Elem())
	if err := f.walk(held, path); err != nil {
		return err
	}
	f.finish = append(f.finish, func() { v.Set(held) })
	return nil
}

func (f *finder) walkStruct(v reflect.Value, path string) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Name
		if path != "" {
			name = path + "." + name
		}
		tag, err := parseTag(field)
		if err != nil {
			return fmt.Errorf("rs: field %s: %w", name, err)
		}
		switch {
		case tag.user:
			err = f.identifiers(v.Field(i), name, tag)
		case field.IsExported() || field.Anonymous && field.Type.Kind() == reflect.Struct:
			err = f.walk(v.Field(i), name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// identifiers makes slots of a tagged field.
func (f *finder) identifiers(v reflect.Value, path string, tag tag) error {
	switch v.Kind() {
	case reflect.String:
		if v.CanAddr() && !f.first(v.Addr()) {
			return nil
		}
		f.slots = append(f.slots, slot{path, v.String(), tag.required, v.SetString})
	case reflect.Pointer:
		if v.IsNil() {
			if tag.required {
				return &FieldError{path, ErrUnknownUser}
			}
			return nil
		}
		return f.identifiers(v.Elem(), path, tag)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := f.identifiers(v.Index(i), fmt.Sprintf("%s[%d]", path, i), tag); err != nil {
				return err
			}
		}
	case reflect.Map:
		if v.IsNil() || !f.first(v) {
			return nil
		}
		if tag.keys {
			return f.keys(v, path, tag)
		}
		for entries := v.MapRange(); entries.Next(); {
			key := entries.Key()
			held := variable(entries.Value())
			if err := f.identifiers(held, fmt.Sprintf("%s[%v]", path, key), tag); err != nil {
				return err
			}
			f.finish = append(f.finish, func() { v.SetMapIndex(key, held) })
		}
	default:
		return errors.New("rs: field " + path + ": a " + v.Type().String() + " cannot hold identifiers of users")
	}
	return nil
}

// keys makes slots of a map's keys. All entries are taken out before any is
// put in under its new key, so that none overwrites another's.
func (f *finder) keys(v reflect.Value, path string, tag tag) error {
	if v.Type().Key().Kind() != reflect.String {
		return errors.New("rs: field " + path + ": the keys of a " + v.Type().String() + " cannot be identifiers of users")
	}
	if f.tags.within(v.Type().Elem()) {
		return errors.New("rs: field " + path + ": a map with users for keys cannot hold further tagged fields")
	}
	type entry struct{ key, value reflect.Value }
	var entries []*entry
	for held := v.MapRange(); held.Next(); {
		moved := &entry{reflect.New(v.Type().Key()).Elem(), held.Value()}
		entries = append(entries, moved)
		id := held.Key().String()
		f.slots = append(f.slots, slot{fmt.Sprintf("%s[%s]", path, id), id, tag.required, moved.key.SetString})
	}
	f.finish = append(f.finish, func() {
		v.Clear()
		for _, moved := range entries {
			if moved.key.String() != "" {
				v.SetMapIndex(moved.key, moved.value)
			}
		}
	})
	return nil
}

// variable copies a value to where it can be changed.
func variable(v reflect.Value) reflect.Value {
	copied := reflect.New(v.Type()).Elem()
	copied.Set(v)
	return copied
}
