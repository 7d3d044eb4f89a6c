package account

// Open to the tests of this package.
var (
	NormaliseEmail = normaliseEmail
	AddGone        = addGone
	Guesses        = guesses
	PackedWords    = packedWords
)

// MinGuesses is the strength a password needs.
const MinGuesses = minGuesses

// GuessesWithoutLists is the estimate without the slow part, for fuzzing.
func GuessesWithoutLists(password string, own []string) float64 {
	e := newEstimate(beginning(password))
	e.matchPatterns()
	newWordSearch(e).findOwn(own)
	return e.cover()
}
