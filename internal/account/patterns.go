package account

import (
	"strconv"
	"strings"
	"unicode"
)

// matchPatterns finds what needs no list.
func (e *estimate) matchPatterns() {
	e.matchSequences()
	e.matchDates()
	e.matchWalks()
}

// matchSequences finds characters that follow each other as in 4567, zyx or
// 13579. Obvious beginnings are tried first, rising ones before falling ones.
func (e *estimate) matchSequences() {
	const shortest = 3
	for i, first := range e.lower {
		start := 26.0
		switch {
		case first == 'a', first == '1':
			start = 1
		case unicode.IsDigit(first):
			start = 10
		}
		for j := i + 2; j <= len(e.lower); j++ {
			step := e.lower[i+1] - first
			if e.lower[j-1]-e.lower[j-2] != step || step == 0 || step < -2 || step > 2 {
				break
			}
			if j-i < shortest {
				continue
			}
			guesses := start * float64(j-i) * e.capitals(i, j, unicode.IsUpper)
			if step < 0 {
				guesses *= 2
			}
			e.found(i, j, guesses)
		}
	}
}

// Years and days that people write into passwords, and separators between them.
const (
	firstYear, lastYear = 1900, 2039

	years      = lastYear - firstYear + 1
	days       = 366
	separators = " -/._"
)

func (e *estimate) matchDates() {
	const shortest, longest = len("1999"), len("31-12-1999")
	for i := range e.lower {
		for j := i + shortest; j <= min(i+longest, len(e.lower)); j++ {
			text := string(e.lower[i:j])
			parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) })
			switch {
			case isYear(text):
				e.found(i, j, years)
			case len(text) == 6 && isDate(text[:2], text[2:4], text[4:]),
				len(text) == 8 && (isDate(text[:2], text[2:4], text[4:]) || isDate(text[:4], text[4:6], text[6:])):
				e.found(i, j, years*days)
			case len(parts) == 3 && isDate(parts[0], parts[1], parts[2]):
				e.found(i, j, years*days*float64(len(separators)))
			}
		}
	}
}

// isDate reports whether the parts are day, month and year in one of the orders
// people write them in.
func isDate(a, b, c string) bool {
	return isDay(a, b) && isShortYear(c) || isShortYear(a) && isDay(b, c)
}

func isDay(a, b string) bool {
	return isNumber(a, 1, 31) && isNumber(b, 1, 12) || isNumber(a, 1, 12) && isNumber(b, 1, 31)
}

func isShortYear(s string) bool { return isYear(s) || len(s) == 2 && isNumber(s, 0, 99) }

func isYear(s string) bool { return len(s) == 4 && isNumber(s, firstYear, lastYear) }

func isNumber(s string, low, high uint64) bool {
	n, err := strconv.ParseUint(s, 10, 64) // takes digits only: no sign, no underscore
	return err == nil && low <= n && n <= high
}

// keyboard is where the keys are.
type keyboard struct {
	rows     []string // of keys, from the top
	slanted  bool     // a key has two above and two below, not three
	shortest int      // a walk that is not chance
}

// Keys as they are labelled without and with shift.
const (
	plainKeys   = "`1234567890-=[]\\;',./"
	shiftedKeys = "~!@#$%^&*()_+{}|:\"<>?"
)

func keyboards() []keyboard {
	qwerty := []string{"`1234567890-=", " qwertyuiop[]\\", " asdfghjkl;'", " zxcvbnm,./"}
	dvorak := []string{"`1234567890[]", " ',.pyfgcrl/=\\", " aoeuidhtns-", " ;qjkxbmwvz"}
	keypad := []string{" /*-", "789+", "456", "123", " 0."}
	return []keyboard{
		{rows: qwerty, slanted: true, shortest: 3},
		{rows: dvorak, slanted: true, shortest: 3},
		{rows: keypad, shortest: 4}, // half of all digits lie side by side
	}
}

// matchWalks finds walks from key to neighbouring key on a keyboard, as qwerty,
// 1qaz2wsx or 147258. The paper counts every shape a walk can have; people take
// few of them, so here a turn costs a little only, wherever it stands.
func (e *estimate) matchWalks() {
	const keys, turn = 47, 1.5
	for _, board := range keyboards() {
		places := make([]place, len(e.lower))
		for i, r := range e.lower {
			places[i] = board.find(r)
		}
		for i := range places {
			guesses := float64(keys)
			var last place
			for j := i + 2; j <= len(places); j++ {
				step, ok := board.step(places[j-2], places[j-1])
				if !ok {
					break
				}
				if step != last {
					guesses *= turn
				}
				last = step
				if j-i >= board.shortest {
					e.found(i, j, guesses*e.capitals(i, j, isShifted))
				}
			}
		}
	}
}

// place is a key, or the way from one to another.
type place struct{ x, y int }

var nowhere = place{-1, -1}

func (b *keyboard) find(r rune) place {
	if i := strings.IndexRune(shiftedKeys, r); i >= 0 {
		r = rune(plainKeys[i])
	}
	for y, row := range b.rows {
		if x := strings.IndexRune(row, r); x >= 0 && r != ' ' {
			return place{x, y}
		}
	}
	return nowhere
}

// step gives the way between two keys, and whether they are neighbours.
func (b *keyboard) step(from, to place) (place, bool) {
	way := place{to.x - from.x, to.y - from.y}
	if from == nowhere || to == nowhere || way == (place{}) || max(way.x, -way.x) > 1 || max(way.y, -way.y) > 1 {
		return way, false
	}
	return way, !b.slanted || way.x*way.y <= 0
}

func isShifted(r rune) bool { return unicode.IsUpper(r) || strings.ContainsRune(shiftedKeys, r) }
