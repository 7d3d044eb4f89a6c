package account

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// kindEmail is the kind of identifier an e-mail address is.
const kindEmail = "email"

// maxIdentifier is the longest identifier in bytes, in both its forms.
const maxIdentifier = 254

// fold makes one of all spellings that look or sound the same: compatibility
// forms, case, composed and decomposed letters. Folding can make text that
// composes anew, so it goes on until nothing changes.
func fold(s string) string {
	for range 4 {
		folded := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
		if folded == s {
			break
		}
		s = folded
	}
	return s
}

// normaliseEmail gives the one form that all spellings of an e-mail address
// share, and whether it is an address that an account can have. What is no
// address still has one form, so that attempts on it are counted together.
func normaliseEmail(s string) (value string, ok bool) {
	if len(s) > 4*maxIdentifier {
		return "", false
	}
	value = fold(strings.TrimSpace(strings.ToValidUTF8(s, "\ufffd")))
	at := strings.LastIndexByte(value, '@')
	if at < 0 {
		return value, false
	}
	local, domain := value[:at], strings.TrimSuffix(value[at+1:], ".")
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return value, false
	}
	value = local + "@" + ascii
	return value, len(value) <= maxIdentifier && localPart(local) && domainPart(ascii)
}

// localPart accepts what mail systems deliver to: no quoted forms, no spaces,
// nothing invisible (RFC 5321 §4.1.2, RFC 6531 §3.3).
func localPart(s string) bool {
	if s == "" || len(s) > 64 || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		if r == utf8.RuneError || strings.ContainsRune(`"(),:;<>@[\]`, r) || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func domainPart(s string) bool {
	if s == "" || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	return strings.Contains(s, ".")
}

// spelling is how the person writes an address, without what is around it.
func spelling(s string) string { return norm.NFC.String(strings.TrimSpace(s)) }
