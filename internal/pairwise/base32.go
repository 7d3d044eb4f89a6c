package pairwise

// SubjectSize is the length of every subject and session identifier.
const SubjectSize = 26

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

// noDigit marks the bytes that are not of the alphabet.
const noDigit = 0xff

// digits is the way back from the alphabet. Upper case is not in it: every
// block has one spelling.
var digits = func() (table [256]byte) {
	for i := range table {
		table[i] = noDigit
	}
	for i := range len(alphabet) {
		table[alphabet[i]] = byte(i)
	}
	return table
}()

// appendBlock writes a block as base32 without padding.
func appendBlock(dst []byte, block *[16]byte) []byte {
	var held, bits uint
	for _, b := range block {
		held, bits = held<<8|uint(b), bits+8
		for bits >= 5 {
			bits -= 5
			dst = append(dst, alphabet[held>>bits&31])
		}
	}
	return append(dst, alphabet[held<<(5-bits)&31])
}

// parseBlock reads what appendBlock writes, and nothing else: the last
// character holds 3 bits, and its other 2 must be zero, or one block would have
// four spellings.
func parseBlock(block *[16]byte, s string) bool {
	if len(s) != SubjectSize {
		return false
	}
	var held, bits uint
	n := 0
	for i := range len(s) {
		digit := digits[s[i]]
		if digit == noDigit {
			return false
		}
		held, bits = held<<5|uint(digit), bits+5
		if bits >= 8 {
			bits -= 8
			block[n] = byte(held >> bits)
			n++
		}
	}
	return held&(1<<bits-1) == 0
}
