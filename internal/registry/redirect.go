package registry

import "strings"

// Loopback addresses whose port is free for native clients (RFC 8252 §7.3).
// The name localhost is none of them: what it stands for is up to the device
// (RFC 8252 §8.3).
var loopbackPrefixes = []string{"http://127.0.0.1", "http://[::1]"}

// matchURI compares a URI with the registered ones, byte for byte
// (RFC 9700 §2.1). Nothing is parsed or normalised, so nothing can be taken for
// something else; for native clients the digits of a loopback port are set
// aside on both sides first.
func matchURI(registered []string, uri string, native bool) bool {
	for _, one := range registered {
		if one == uri {
			return true
		}
	}
	if !native {
		return false
	}
	prefix, rest, ok := cutLoopback(uri)
	if !ok {
		return false
	}
	for _, one := range registered {
		if p, r, ok := cutLoopback(one); ok && p == prefix && r == rest {
			return true
		}
	}
	return false
}

// cutLoopback splits a loopback URI into what stands before and after its port.
func cutLoopback(uri string) (prefix, rest string, ok bool) {
	for _, prefix := range loopbackPrefixes {
		rest, found := strings.CutPrefix(uri, prefix)
		if !found {
			continue
		}
		if port, hasPort := strings.CutPrefix(rest, ":"); hasPort {
			digits := 0
			for digits < len(port) && port[digits] >= '0' && port[digits] <= '9' {
				digits++
			}
			if !validPort(port[:digits]) {
				return "", "", false
			}
			rest = port[digits:]
		}
		// What follows the authority is a path, a query or nothing; anything else
		// would make the host another one, as in http://127.0.0.1.evil.example.
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", "", false
		}
		return prefix, rest, true
	}
	return "", "", false
}

// validPort reports whether digits write a port in the one usual way.
func validPort(digits string) bool {
	if digits == "" || digits[0] == '0' || len(digits) > 5 {
		return false
	}
	return len(digits) < 5 || digits <= "65535"
}
