package courier_test

import (
	"testing"

	"github.com/sekisho-id/sekisho/internal/courier"
)

// FuzzMessage: a message is read as it was written, and bytes of whatever kind do
// no harm.
func FuzzMessage(f *testing.F) {
	f.Add("sub", "sid", "stream", "market.backend", int64(1_800_000_000), int64(0), []byte(`{"item":1}`))
	f.Add("", "", "", "", int64(-1), int64(1)<<62, []byte{})
	f.Add("\x01", "\x80", "", "", int64(0), int64(0), []byte("\x01\x05abc"))
	f.Fuzz(func(t *testing.T, subject, session, stream, publisher string, issued, happened int64, payload []byte) {
		if !courier.PlainAndBack(subject, session, stream, publisher, issued, happened, payload) {
			t.Error("it does not come back as it was")
		}
		if again, err := courier.ReadMessage(payload); err == nil {
			if _, err := courier.ReadMessage(again); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestMessagesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]string{
		"nothing":           "",
		"another form":      `{"sub":"a"}`,
		"a text too short":  "\x01\x05abc",
		"no length":         "\x01\xff",
		"no number":         "\x01\x00\x00\x00\x00",
		"an endless number": "\x01\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if _, err := courier.ReadMessage([]byte(plain)); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}
