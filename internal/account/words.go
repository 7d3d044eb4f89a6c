package account

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// packedWords are the common passwords, English words and names of the zxcvbn
// project (see words.LICENSE), 85,000 in all, in groups of about the same rank:
// the rank, the words, an empty line. They are made anew with
//
//	go test ./internal/account -run TestPackedWords -update
//
// They are unpacked for each estimate and never kept: as a map they would be
// megabytes of pointers for every garbage collection to follow, all the time,
// for something that is asked when somebody chooses a password.
//
//go:embed words.gz
var packedWords []byte

// wordSearch looks for words in a password as it can be read: as it stands,
// backwards, and with letters for the characters that look like them.
type wordSearch struct {
	*estimate
	// text is all the readings, each followed by a byte that is in no text. All
	// are of one size, and they run forward and backward in turn.
	text []byte
	size int
	// beginnings has a bit for up to three bytes from every place of text on:
	// nearly all words are ruled out by how they begin.
	beginnings [1 << 16 / 64]uint64
}

func newWordSearch(e *estimate) *wordSearch {
	s := &wordSearch{estimate: e}
	s.read(e.lower)
	s.size = len(s.text) / 2
	for _, one := range "il" {
		for _, seven := range "tl" {
			letters := slices.Clone(e.lower)
			for i, r := range letters {
				letters[i] = letterLike(r, one, seven)
			}
			s.read(letters)
		}
	}
	for i := range s.text {
		for n := 1; n <= min(3, len(s.text)-i); n++ {
			b := beginningOf(s.text[i : i+n])
			s.beginnings[b/64] |= 1 << (b % 64)
		}
	}
	return s
}

// read adds a reading, unless it is there.
func (s *wordSearch) read(letters []rune) {
	const end = "\xff"
	forward := string(letters) + end
	if bytes.Contains(s.text, []byte(forward)) {
		return
	}
	backward := slices.Clone(letters)
	slices.Reverse(backward)
	s.text = append(s.text, forward+string(backward)+end...)
}

// letterLike is the letter that a character stands for. 1 and 7 stand for two.
func letterLike(r, one, seven rune) rune {
	const characters, letters = "4@8({[<369!0$5+%2", "aabcccceggiosstxz"
	switch r {
	case '1', '|':
		return one
	case '7':
		return seven
	}
	if i := bytes.IndexRune([]byte(characters), r); i >= 0 {
		return rune(letters[i])
	}
	return r
}

// findOwn finds words that are tried first of all. Only valid text is sure to
// stand at whole characters of one reading.
func (s *wordSearch) findOwn(words []string) {
	for _, word := range words {
		s.find([]byte(strings.ToValidUTF8(word, "")), 1)
	}
}

// findListed finds the words of the lists.
func (s *wordSearch) findListed() error {
	unpacked, err := gzip.NewReader(bytes.NewReader(packedWords))
	if err != nil {
		return fmt.Errorf("account: unpack the word lists: %w", err)
	}
	lines := bufio.NewScanner(unpacked)
	for lines.Scan() {
		rank, err := strconv.ParseFloat(lines.Text(), 64)
		if err != nil {
			return fmt.Errorf("account: read the word lists: %w", err)
		}
		for lines.Scan() && len(lines.Bytes()) > 0 {
			s.find(lines.Bytes(), rank)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("account: unpack the word lists: %w", err)
	}
	return nil
}

func beginningOf(text []byte) (sum uint16) {
	for _, b := range text[:min(3, len(text))] {
		sum = sum*31 + uint16(b)
	}
	return sum
}

// find notes where a word stands. Its rank is how many are tried before it.
func (s *wordSearch) find(word []byte, rank float64) {
	b := beginningOf(word)
	if len(word) == 0 || s.beginnings[b/64]&(1<<(b%64)) == 0 {
		return
	}
	for at := 0; ; at++ {
		next := bytes.Index(s.text[at:], word)
		if next < 0 {
			return
		}
		at += next
		s.foundWord(at, word, rank)
	}
}

// foundWord notes the word that stands at a place of the text. Backwards it takes
// twice the guesses. Look-alikes cost nothing, though they do in the paper:
// whoever tries words tries the usual ones at once.
func (s *wordSearch) foundWord(at int, word []byte, guesses float64) {
	reading, offset := at/s.size, at%s.size
	i := utf8.RuneCount(s.text[at-offset : at])
	j := i + utf8.RuneCount(word)
	if backward := reading%2 == 1; backward {
		i, j = len(s.lower)-j, len(s.lower)-i
		guesses *= 2
	}
	s.found(i, j, guesses*s.capitals(i, j, unicode.IsUpper))
}
