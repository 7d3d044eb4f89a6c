package appendjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/appendjson"
)

// FuzzString holds strings and lists of them equal to encoding/json.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", `"`, `\`, "<a>&", "\x00\x1f\x7f", "é", "\u2028", "\xff", "a\xffb", strings.Repeat("x", 1000)} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, value := range []any{a, []string{a, b}, []string{a}, []string{}, []string(nil)} {
			want, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			got := []byte("before ")
			if list, ok := value.([]string); ok {
				got = appendjson.Strings(got, list)
			} else {
				got = appendjson.String(got, a)
			}
			if string(got) != "before "+string(want) {
				t.Errorf("%q gives %s, not %s", value, got, want)
			}
		}
	})
}

// TestPlainIsEveryByte: each byte alone is plain if encoding/json writes it as
// it is. (DEL is not, though it could be.)
func TestPlainIsEveryByte(t *testing.T) {
	t.Parallel()
	for c := range 0x7f {
		s := string(rune(c))
		written, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if want := string(written) == `"`+s+`"`; appendjson.Plain(s) != want {
			t.Errorf("%q: plain is %t", s, !want)
		}
	}
}
