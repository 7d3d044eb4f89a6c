package account

import (
	"context"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What a password may be (NIST SP 800-63B-4 §3.1.1.2).
const (
	minPassword      = 15   // characters, since it is the only factor
	maxPassword      = 256  // characters
	maxPasswordInput = 1024 // bytes of input that are looked at, at all
	// The strength of longer passwords is estimated by their beginning: the
	// estimate takes time with the cube of the length.
	scoredBytes = 64
)

// PasswordFault says why a password is refused.
type PasswordFault string

// The faults of a password.
const (
	PasswordTooShort  PasswordFault = "too_short" // fewer than 15 characters
	PasswordTooLong   PasswordFault = "too_long"  // more than 256 characters
	PasswordUnusable  PasswordFault = "unusable"  // not text
	PasswordCommon    PasswordFault = "common"    // on the list of passwords that are tried first
	PasswordPersonal  PasswordFault = "personal"  // made of the person's own names or those of this site
	PasswordGuessable PasswordFault = "guessable" // a pattern: rows of keys, repeats, dates, single words
	PasswordUnchanged PasswordFault = "unchanged" // the same as before
)

var passwordFaults = map[PasswordFault]string{
	PasswordTooShort:  "a password needs at least 15 characters; a few words in a row do well",
	PasswordTooLong:   "a password has at most 256 characters",
	PasswordUnusable:  "a password must be valid Unicode text without control characters",
	PasswordCommon:    "this password is on the list of those that attackers try first; choose another",
	PasswordPersonal:  "this password is made of your own name or address, or of the name of this site; choose other words",
	PasswordGuessable: "this password is easy to guess, since it follows a pattern; choose a few words that do not belong together",
	PasswordUnchanged: "this is the password you have now; choose another",
}

// PasswordError is a refused password.
type PasswordError struct{ Fault PasswordFault }

func (e *PasswordError) Error() string { return "account: " + passwordFaults[e.Fault] }

// MinPassword and MaxPassword are the bounds, in characters, for pages to tell.
const (
	MinPassword = minPassword
	MaxPassword = maxPassword
)

// preparePassword is the form in which a password is hashed: spaces are kept,
// and what looks the same counts the same on every keyboard (NFKC).
func preparePassword(password string) (string, error) {
	if len(password) > maxPasswordInput {
		return "", ErrTooLarge
	}
	return norm.NFKC.String(password), nil
}

// CheckNewPassword reports why a password may not be chosen: nil, ErrTooLarge
// or a *PasswordError. personal are words of the person, as e-mail address and
// names. The estimate takes its turn with the hashes: secret.ErrBusy.
func (p *People) CheckNewPassword(ctx context.Context, password string, personal ...string) error {
	prepared, err := preparePassword(password)
	if err != nil {
		return err
	}
	words := p.words(personal)
	if fault := passwordFault(prepared, words); fault != "" {
		return &PasswordError{Fault: fault}
	}
	return p.Hasher.Do(ctx, func() error {
		n, err := guesses(prepared, words)
		if err == nil && n < minGuesses {
			err = &PasswordError{Fault: PasswordGuessable}
		}
		return err
	})
}

// passwordFault is what is wrong with a password at first sight.
func passwordFault(password string, words []string) PasswordFault {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password), strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return PasswordUnusable
	case n < minPassword:
		return PasswordTooShort
	case n > maxPassword:
		return PasswordTooLong
	}
	folded := fold(password)
	switch {
	case commonPasswords[plainLetters(folded)]:
		return PasswordCommon
	case madeOf(folded, words):
		return PasswordPersonal
	}
	return ""
}

// words are those nobody may build a password of, folded: the names of the site
// and of the person, whole and in their parts.
func (p *People) words(personal []string) []string {
	var words []string
	for _, text := range append(personal, p.SiteWords...) {
		folded := fold(text)
		words = append(words, folded)
		words = append(words, strings.FieldsFunc(folded, func(r rune) bool { return strings.ContainsRune(" @.-_+", r) })...)
	}
	kept := words[:0]
	for _, word := range words {
		if utf8.RuneCountInString(word) >= 4 {
			kept = append(kept, word)
		}
	}
	return kept
}

// madeOf reports whether too little of the password is left when the words are
// taken out.
func madeOf(password string, words []string) bool {
	const enough = 8
	left := password
	for _, word := range words {
		left = strings.ReplaceAll(left, word, "")
	}
	return left != password && utf8.RuneCountInString(left) < enough
}

// beginning cuts a password where the estimate of its strength would take too
// long.
func beginning(password string) string {
	if len(password) <= scoredBytes {
		return password
	}
	return strings.ToValidUTF8(password[:scoredBytes], "")
}
