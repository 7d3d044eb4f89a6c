package account

import (
	_ "embed"
	"strings"
	"unicode"
)

// commonList are the passwords of at least 15 characters among those that are
// tried first. Shorter ones, nearly all there are, cannot be chosen anyway. One
// a line, letters and digits only. Some forty come from the list of the
// zxcvbn-ts project (MIT licence, Dan Wheeler, Dropbox and contributors).
//
//go:embed blocklist.txt
var commonList string

var commonPasswords = readList(commonList)

func readList(text string) map[string]bool {
	list := map[string]bool{}
	for line := range strings.Lines(text) {
		list[strings.TrimSpace(line)] = true
	}
	return list
}

// plainLetters takes out what people put between the words of a common password
// to make it another one.
func plainLetters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}
