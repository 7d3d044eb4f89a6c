package registry

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// place is where something stands in a file, from 1.
type place struct{ line, column int }

// report collects faults. It knows where each path stands in the file, if the
// group came from one.
type report struct {
	file   string
	lines  []string
	names  map[string]place // of keys
	values map[string]place // of what keys hold, and of items of lists
	faults Faults
	told   map[string]bool // paths that have a fault
	lost   map[string]bool // paths that could not be read, with all below them
}

func newReport(file, text string) *report {
	return &report{
		file:   file,
		lines:  strings.Split(text, "\n"),
		names:  map[string]place{},
		values: map[string]place{},
		told:   map[string]bool{},
		lost:   map[string]bool{},
	}
}

// value adds a fault of what stands at a path. Of one path the first fault
// counts: the others mostly follow from it.
func (r *report) value(path, what, hint string) {
	r.add(path, r.find(path, r.values), what, hint)
}

// name adds a fault of the key itself.
func (r *report) name(path, what, hint string) {
	r.add(path, r.find(path, r.names), what, hint)
}

// lose adds a fault of a value that cannot be read, so that nothing is said of
// what is in it.
func (r *report) lose(path, what, hint string) {
	r.value(path, what, hint)
	r.lost[path] = true
}

func (r *report) add(path string, at place, what, hint string) {
	if r.told[path] || r.isLost(path) {
		return
	}
	r.told[path] = true
	r.push(path, at, what, hint)
}

// push adds a fault without asking whether the path has one.
func (r *report) push(path string, at place, what, hint string) {
	fault := Fault{File: r.file, Line: at.line, Column: at.column, Path: path, What: what, Hint: hint}
	if !secretive(path) {
		fault.Excerpt = r.excerpt(at)
	}
	r.faults = append(r.faults, fault)
}

// present reports whether the file has the path.
func (r *report) present(path string) bool {
	_, ok := r.values[path]
	return ok
}

// find is the place of a path, or of the nearest one above it.
func (r *report) find(path string, places map[string]place) place {
	for {
		if at, ok := places[path]; ok {
			return at
		}
		places = r.names // above, the key tells more than what it holds
		if path == "" {
			return r.values[""]
		}
		path = above(path)
		if _, ok := places[path]; !ok {
			if at, ok := r.values[path]; ok {
				return at
			}
		}
	}
}

func (r *report) isLost(path string) bool {
	for ; path != ""; path = above(path) {
		if r.lost[path] {
			return true
		}
	}
	return r.lost[""]
}

// above is the path that a path is part of.
func above(path string) string {
	if i := strings.LastIndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return ""
}

// below is a path of a part.
func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

const maxExcerpt = 120

// excerpt shows the line with a caret below the place.
func (r *report) excerpt(at place) string {
	if at.line < 1 || at.line > len(r.lines) {
		return ""
	}
	line := []rune(r.lines[at.line-1])
	if len(line) == 0 {
		return ""
	}
	column := min(max(at.column, 1), len(line)+1)
	if len(line) > maxExcerpt {
		first := max(0, min(column-maxExcerpt/2, len(line)-maxExcerpt))
		line, column = line[first:first+maxExcerpt], column-first
	}
	indent := strings.Repeat(" ", width(line[:column-1]))
	return "    " + string(line) + "\n    " + indent + "^"
}

// width is how many columns of a terminal the runes take: those of Japanese
// two, others one.
func width(runes []rune) int {
	n := 0
	for _, r := range runes {
		n++
		if r >= 0x1100 && utf8.RuneLen(r) >= 3 {
			n++
		}
	}
	return n
}

// secretive reports whether a path may hold a secret by mistake, so that the
// line must not be shown.
func secretive(path string) bool {
	last := path[strings.LastIndexByte(path, '.')+1:]
	return strings.Contains(last, "secret") || strings.Contains(last, "password") || strings.Contains(last, "jwks")
}

// all is every fault in the order of the file; nil where there is none.
func (r *report) all() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.faults
}
