package account_test

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	zxcvbn "github.com/ccojocar/zxcvbn-go"
	"github.com/ccojocar/zxcvbn-go/frequency"

	"github.com/sekisho-id/sekisho/internal/account"
)

var each = flag.Int("each", 4, "passwords of each kind to compare with the oracle")

func strong(t testing.TB, password string, words ...string) bool {
	t.Helper()
	guesses, err := account.Guesses(password, words)
	if err != nil {
		t.Fatal(err)
	}
	return guesses >= account.MinGuesses
}

// The oracle is zxcvbn-go. What it finds very weak is never accepted, and where
// both know the patterns the decisions are the same. Of the other kinds, many
// that it accepts are refused here. For the figures in full:
//
//	go test ./internal/account -run TestStrengthAgainstOracle -each 200 -v
func TestStrengthAgainstOracle(t *testing.T) {
	t.Parallel()
	const (
		weak, enough = 1, 3 // scores
		alikeAtLeast = 0.97
		laxerAtMost  = 0.005
	)
	var alike, laxer, known, knownAlike int
	for _, kind := range kinds {
		c := &chooser{rand.New(rand.NewPCG(1, 2))} //nolint:gosec // the same passwords every time
		same, less := 0, 0
		for range *each {
			password := kind.make(c)
			score := zxcvbn.PasswordStrength(password, nil).Score
			accepted := strong(t, password)
			switch {
			case accepted && score <= weak:
				t.Errorf("%q is accepted, but the oracle gives it a score of %d", password, score)
			case accepted == (score >= enough):
				same++
			case accepted:
				less++
			}
			if kind.random && !accepted {
				t.Errorf("%q is refused, though it is random", password)
			}
		}
		t.Logf("%-27s %4d alike %4d stricter %4d laxer", kind.name, same, *each-same-less, less)
		alike, laxer = alike+same, laxer+less
		if !kind.unknown {
			known, knownAlike = known+*each, knownAlike+same
		}
	}
	all := *each * len(kinds)
	t.Logf("%d passwords: %.1f %% alike, %.1f %% stricter, %.2f %% laxer; where both know the patterns %.1f %% of %d are alike",
		all, percent(alike, all), percent(all-alike-laxer, all), percent(laxer, all), percent(knownAlike, known), known)
	if percent(knownAlike, known) < 100*alikeAtLeast || percent(laxer, all) > 100*laxerAtMost {
		t.Error("the decisions differ too much")
	}
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

// kinds are the ways in which people and attackers make 15 characters and more.
var kinds = []struct {
	name    string
	make    func(*chooser) string
	unknown bool // to the oracle: it misses what is repeated, turned round, a year or a date
	random  bool // never to be refused
}{
	{name: "common ones", make: func(c *chooser) string { return long(c.common) }},
	{name: "common ones, year, sign", make: func(c *chooser) string {
		return long(func() string { return capital(c.common()) + c.year() + "!" })
	}},
	{name: "with look-alikes", make: func(c *chooser) string {
		return strings.NewReplacer("a", "4", "e", "3", "o", "0", "i", "1", "s", "5").Replace(long(c.common))
	}},
	{name: "two words", make: func(c *chooser) string {
		return long(func() string { return c.word(30000) + "-" + c.word(30000) })
	}},
	{name: "Two Words and digits", make: func(c *chooser) string {
		return long(func() string { return capital(c.word(3000)) + capital(c.word(3000)) }) + c.characters(digits, 2)
	}},
	{name: "frequent words", make: func(c *chooser) string { return long(func() string { return c.word(1000) }) }},
	{name: "a sentence", make: func(c *chooser) string { return long(func() string { return c.word(300) + " " }) }},
	{name: "names", make: func(c *chooser) string {
		return long(func() string { return c.from("FemaleNames", 500) + c.from("Surname", 2000) })
	}},
	{name: "a few sequences", make: func(c *chooser) string {
		return long(func() string { i := c.IntN(20); return lower[i : i+3+c.IntN(4)] })
	}},
	{name: "a few repeated characters", make: func(c *chooser) string {
		return long(func() string { return strings.Repeat(c.characters(lower, 1), 3+c.IntN(6)) })
	}},
	{name: "walks", make: func(c *chooser) string { return c.walk() }},
	{name: "four random words", random: true, make: func(c *chooser) string { return c.passphrase(4, " ") }},
	{name: "five random words, joined", random: true, make: func(c *chooser) string { return c.passphrase(5, "") }},
	{name: "random letters", random: true, make: func(c *chooser) string { return c.characters(lower, 15) }},
	{name: "random letters and digits", random: true, make: func(c *chooser) string { return c.characters(lower+upper+digits, 15) }},
	{name: "random hexadecimal", random: true, make: func(c *chooser) string { return c.characters(digits+"abcdef", 20) }},
	{name: "random characters", random: true, make: func(c *chooser) string { return c.characters(lower+upper+digits+signs, 15) }},

	{name: "a common one, repeated", unknown: true, make: func(c *chooser) string { w := c.common(); return long(func() string { return w }) }},
	{name: "a common one and digits", unknown: true, make: func(c *chooser) string {
		return c.common() + long(func() string { return c.of("1", "12", "123", "123456789", "000", "11", "69", "007") })
	}},
	{name: "backwards", unknown: true, make: func(c *chooser) string {
		w := []rune(long(func() string { return c.word(5000) }))
		slices.Reverse(w)
		return string(w)
	}},
	{name: "words and year", unknown: true, make: func(c *chooser) string { return long(func() string { return c.word(5000) }) + c.year() }},
	{name: "names and date", unknown: true, make: func(c *chooser) string {
		return long(func() string { return c.from("MaleNames", 200) }) + "12.03." + c.year()
	}},
	{name: "walk and ending", unknown: true, make: func(c *chooser) string { return c.walk() + c.of("1", "123", "!", c.year(), "!@#") }},
	{name: "walk and common ones", unknown: true, make: func(c *chooser) string { return c.walk()[:6+c.IntN(5)] + long(c.common) }},
	{name: "random digits", unknown: true, make: func(c *chooser) string { return c.characters(digits, 15) }},
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
	signs  = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

// chooser chooses parts of passwords.
type chooser struct{ *rand.Rand }

func (c *chooser) of(texts ...string) string { return texts[c.IntN(len(texts))] }

// from is one of the first n of a list.
func (c *chooser) from(list string, n int) string { return c.of(frequency.Lists[list].List[:n]...) }

func (c *chooser) word(n int) string { return c.from("English", n) }

func (c *chooser) common() string { return c.from("Passwords", 7000) }

func (c *chooser) year() string { return strconv.Itoa(1950 + c.IntN(77)) }

func (c *chooser) walk() string {
	walk := c.of("qwertyuiop[]asdfghjkl;'", "qwertyuiopasdfghjkl", "1qaz2wsx3edc4rfv5tgb", "qazwsxedcrfvtgb", "asdfghjklqwertyuiop",
		"zaq12wsxcde34rfv", "qweasdzxcrtyfghvbn", "1q2w3e4r5t6y7u8i", "!QAZ@WSX#EDC$RFV", "poiuytrewqlkjhgfdsa", "1234567890qwertyuiop",
		"147258369147258369", "mnbvcxzlkjhgfdsapoi", "q1w2e3r4t5y6u7i8o9p0", "zxcvbnm,./asdfghjkl", "0987654321qwertyuiop")
	return c.of(walk, capital(walk))
}

// passphrase is of words as in a list for dice: the frequent ones.
func (c *chooser) passphrase(n int, between string) string {
	words := make([]string, n)
	for {
		for i := range words {
			words[i] = c.word(7776)
		}
		if text := strings.Join(words, between); len(text) >= 15 {
			return text
		}
	}
}

func (c *chooser) characters(alphabet string, n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[c.IntN(len(alphabet))]
	}
	return string(text)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// long asks for more until there are 15 characters.
func long(more func() string) string {
	text := ""
	for len(text) < 15 {
		text += more()
	}
	return text
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, password string }{
		{"part repeated", "kx8f2mkx8f2mkx8f2m"},
		{"backwards", "drowssapdrowssap"},
		{"look-alikes", "P4$$w0rdF00tb4||"},
		{"one and seven", "7he1ife1ove7hem"},
		{"both ways of every digit", "5unsh1neL0v3"},
		{"steps of two", "acegikmoqsuwy13579"},
		{"falling", "zyxwvutsrqponmlkji"},
		{"kana in order", "あいうえおあいうえおあいうえおあ"},
		{"dates", "31.12.1999password"},
		{"dates without signs", "31121999password"},
		{"years", "1987password1990"},
		{"walk with shift", "!QAZ@WSX#EDC$RFV"},
		{"walk over another keyboard", "',.pyfgcrlaoeuidhtns"},
		{"walk over the keypad", "14725836978945612"},
		{"own word", "Zaphod1zaphod2zaphod"},
	} {
		if strong(t, c.password, "zaphod") {
			t.Errorf("%s: %q is accepted", c.name, c.password)
		}
	}
	for _, password := range []string{
		"three green umbrellas sing", "correcthorsebatterystaple", "kx8f2mqpzt7wv4b", "Grüße vom lachenden Ofenrohr",
		"三つの緑の傘が静かに歌う夜でした", "🦊🐢🎷🌋🧵🪁🦉🍄🧲🪐🎻🥨🚜🛶🏺",
	} {
		if !strong(t, password) {
			t.Errorf("%q is refused", password)
		}
	}
}

// What comes after the beginning costs nothing and changes nothing.
func TestStrengthOfTheBeginning(t *testing.T) {
	t.Parallel()
	if strong(t, strings.Repeat("a", 64)+"three green umbrellas sing") {
		t.Error("the end counts")
	}
	if !strong(t, strings.Repeat("🦊🐢🎷🌋🧵🪁🦉🍄🧲🪐🎻🥨🚜🛶🏺", 1<<10)) {
		t.Error("the beginning does not count")
	}
}

func FuzzGuesses(f *testing.F) {
	for _, seed := range []string{"", "a", "P4$$w0rd 31.12.1999", "İİİẞß\u0345", "\xff\xfe\n\n", strings.Repeat("1|7", 30), "三つの緑の傘"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, password, word string) {
		guesses := account.GuessesWithoutLists(password, []string{word, password})
		if math.IsNaN(guesses) || math.IsInf(guesses, 0) || guesses < 1 {
			t.Errorf("%q takes %g guesses", password, guesses)
		}
		if more := account.GuessesWithoutLists(password, nil); more < guesses {
			t.Errorf("%q takes %g guesses for those who know a word of it, %g for others", password, guesses, more)
		}
	})
}

func BenchmarkGuesses(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		strong(b, "thr33 gr33n umbrellas s1ng 2017! qwertyuiop7asdjkfhajk1df45@!|hsf")
	}
}
