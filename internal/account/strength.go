package account

import (
	"math"
	"unicode"
)

// minGuesses is the strength a password needs: to guess it takes 10^10 guesses
// on average, half of what there is to try. That is the top class of zxcvbn's
// scale, where an attack on stolen, slow hashes fails.
const minGuesses = 2e10

// guesses estimates how many guesses somebody needs who knows how people make
// passwords, by the method of zxcvbn (Wheeler, "zxcvbn: Low-Budget Password
// Strength Estimation", USENIX Security 2016): find everything that follows a
// pattern, say how many guesses each takes, and cover the whole with those that
// take the fewest. own are the words of the person and the site.
//
// The search of the paper also multiplies by the orders the parts can have, and
// adds for their number. That makes many trivial parts in a row look strong, and
// 15 characters at least are many parts more often than not; it is left away.
func guesses(password string, own []string) (float64, error) {
	e := newEstimate(beginning(password))
	e.matchPatterns()
	words := newWordSearch(e)
	words.findOwn(own)
	if err := words.findListed(); err != nil {
		return 0, err
	}
	return e.cover(), nil
}

// estimate is what is known of one password.
type estimate struct {
	typed []rune // as it was typed
	lower []rune // the same in lower case
	// least[i][j] is the least number of guesses for typed[i:j].
	least [scoredBytes + 1][scoredBytes + 1]float64
}

func newEstimate(password string) *estimate {
	e := &estimate{typed: []rune(password)}
	e.lower = make([]rune, len(e.typed))
	for i, r := range e.typed {
		e.lower[i] = unicode.ToLower(r)
	}
	for i := range e.least {
		for j := range e.least[i] {
			e.least[i][j] = math.Inf(1)
		}
	}
	return e
}

// found notes that typed[i:j] can be guessed as one part.
func (e *estimate) found(i, j int, guesses float64) {
	e.least[i][j] = min(e.least[i][j], guesses)
}

// cover gives the guesses for the whole: every part is guessed as the pattern
// found there, letter by letter, as two parts, or as a repeated one.
func (e *estimate) cover() float64 {
	n, alphabet := len(e.typed), e.alphabet()
	e.found(0, 0, 1)
	for i := range n {
		e.found(i, i+1, alphabet)
	}
	for length := 2; length <= n; length++ {
		for i, j := 0, length; j <= n; i, j = i+1, j+1 {
			for k := i + 1; k < j; k++ {
				e.found(i, j, e.least[i][k]*e.least[k][j])
			}
			for unit := 1; unit <= length/2; unit++ {
				if length%unit == 0 && e.repeats(i, j, unit) {
					e.found(i, j, e.least[i][i+unit]*float64(length/unit))
				}
			}
		}
	}
	return e.least[0][n]
}

func (e *estimate) repeats(i, j, unit int) bool {
	for k := i + unit; k < j; k++ {
		if e.lower[k] != e.lower[k-unit] {
			return false
		}
	}
	return true
}

// alphabet is how many characters somebody tries who sees no pattern, by the
// kinds of characters there are.
func (e *estimate) alphabet() float64 {
	var lower, upper, digits, ideographs, foreign, other float64
	for _, r := range e.typed {
		switch {
		case unicode.Is(unicode.Han, r):
			ideographs = 2136 // those that Japanese schools teach
		case r > unicode.MaxASCII:
			foreign = 100
		case unicode.IsLower(r):
			lower = 26
		case unicode.IsUpper(r):
			upper = 26
		case unicode.IsDigit(r):
			digits = 10
		default:
			other = 33
		}
	}
	return lower + upper + digits + ideographs + foreign + other
}

// capitals is how much more it takes to guess which characters of typed[i:j]
// were typed with shift. The first, the last or all are tried next after none;
// else it is the number of ways to choose as many or fewer.
func (e *estimate) capitals(i, j int, shifted func(rune) bool) float64 {
	ups := 0
	for _, r := range e.typed[i:j] {
		if shifted(r) {
			ups++
		}
	}
	n := j - i
	switch {
	case ups == 0:
		return 1
	case ups == n, ups == 1 && (shifted(e.typed[i]) || shifted(e.typed[j-1])):
		return 2
	}
	ways, choices := 0.0, 1.0
	for k := 1; k <= min(ups, n-ups); k++ {
		choices = choices * float64(n-k+1) / float64(k)
		ways += choices
	}
	return ways
}
