package web

import "strings"

// Plain makes a text fit to stand in an error description, which has neither
// quotes nor backslashes nor anything outside ASCII (RFC 6749 §4.1.2.1).
func Plain(s string) string {
	const longest = 200
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return '?'
		}
		return c
	}, s[:min(len(s), longest)])
}
