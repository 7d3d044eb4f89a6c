package appendjson

import "encoding/json"

// String appends one string.
func String(b []byte, s string) []byte {
	if !Plain(s) {
		quoted, _ := json.Marshal(s) // a string always marshals
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// Strings appends a list of strings.
func Strings[List ~[]string](b []byte, list List) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = String(b, s)
	}
	return append(b, ']')
}

// Plain reports whether s stands in JSON as it is.
func Plain(s string) bool {
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// plain are the bytes that encoding/json does not escape: printable ASCII
// without those that end a string or mean something to HTML.
var plain = func() (table [256]bool) {
	for c := ' '; c <= '~'; c++ {
		table[c] = true
	}
	for _, c := range `"\<>&` {
		table[c] = false
	}
	return table
}()
