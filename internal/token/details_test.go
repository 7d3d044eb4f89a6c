package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// RFC 9396 §5: what is not understood to the last member is refused.
func TestEventDetailsAreReadStrictly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	members := func(replace ...string) string {
		good := `{"type":"event","receiver":"crypto","event_type":"` + sold + `","event_id":"1","body_sha256":"` + digest + `","happened_at":1800000000}`
		text := strings.NewReplacer(replace...).Replace(good)
		if len(replace) > 0 && text == good {
			t.Fatalf("%q is not in it", replace[0])
		}
		return text
	}
	list := func(replace ...string) string { return "[" + members(replace...) + "]" }
	many := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = members(`"1"`, `"`+strings.Repeat("x", i+1)+`"`)
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	b.tokens(basic("market.spare"), askingText(b.subject("market"), " "+list(`,"`, " ,\n\"", `"receiver":`, "\"re\\u0063eiver\"\t: ")+" ")...)
	b.tokens(basic("market.spare"), askingText(b.subject("market"), many(50))...)
	now := b.clock.Now().Unix()
	for _, at := range []int64{now + 60, now - 30*24*3600} {
		b.tokens(basic("market.spare"), askingText(b.subject("market"), list("1800000000", strconv.FormatInt(at, 10)))...)
	}
	b.tokens(basic("market.spare"), askingText(b.subject("market"), list(`"1"`, `"`+strings.Repeat("~", 128)+`"`, `,"happened_at":1800000000`, ""))...)

	for _, c := range []struct{ details, words string }{
		{`null`, "not a JSON list"},
		{`{}`, "not a JSON list"},
		{members(), "not a JSON list"},
		{`"[]"`, "not a JSON list"},
		{`[`, "not a JSON list"},
		{`[]x`, "not a JSON list"},
		{list() + list(), "not a JSON list"},
		{`[` + members() + `,]`, "not a JSON list"},
		{`[` + members() + ` ` + members() + `]`, "not a JSON list"},
		{list(`"1"`, `"\x"`), "not a JSON list"},
		{list(`1800000000`, `01`), "not a JSON list"},
		{`[]`, "no element"},
		{many(51), "more than 50"},
		{`[null]`, "Element 1 of the authorization_details is not an object"},
		{`["event"]`, "is not an object"},
		{`[[]]`, "is not an object"},
		{`[` + members() + `,7]`, "Element 2"},
		{`[{}]`, "no member type"},
		{list(`"type":"event",`, ""), "no member type"},
		{list(`"receiver":"crypto",`, ""), "no member receiver"},
		{list(`"event_type":"`+sold+`",`, ""), "no member event_type"},
		{list(`"event_id":"1",`, ""), "no member event_id"},
		{list(`"body_sha256":"`+digest+`",`, ""), "no member body_sha256"},
		{list(`"type"`, `"Type"`), "none of type"},
		{list(`"happened_at"`, `"Happened_at"`), "none of type"},
		{list(`{`, `{"actions":["read"],`), "none of type"},
		{list(`{`, `{"id_token":"x",`), "none of type"},
		{list(`{`, `{"":"",`), "none of type"},
		{list(`{`, `{"receiver":"pay",`), "a member twice"},
		{list(`{`, `{"re\u0063eiver":"crypto",`), "a member twice"},
		{list(`1800000000`, `1800000000,"happened_at":1800000000`), "a member twice"},
		{list(`"event",`, `"payment",`), "a type that is not event"},
		{list(`"event",`, `"Event",`), "a type that is not event"},
		{list(`"event",`, `null,`), "a member type that is not a string"},
		{list(`"crypto"`, `["crypto"]`), "a member receiver that is not a string"},
		{list(`"`+sold+`"`, `{}`), "a member event_type that is not a string"},
		{list(`"1"`, `1`), "a member event_id that is not a string"},
		{list(`"`+digest+`"`, `true`), "a member body_sha256 that is not a string"},
		{list(`"1"`, `""`), "event_id"},
		{list(`"1"`, `"`+strings.Repeat("x", 129)+`"`), "event_id"},
		{list(`"1"`, `"a b"`), "event_id"},
		{list(`"1"`, `"a\u0000"`), "event_id"},
		{list(`"1"`, `"a\n"`), "event_id"},
		{list(`"1"`, `"あ"`), "event_id"},
		{list(digest, ""), "body_sha256"},
		{list(digest, digest+"="), "body_sha256"},
		{list(digest, digest[:42]), "body_sha256"},
		{list(digest, digest+"A"), "body_sha256"},
		{list(digest, digest[:42]+"V"), "body_sha256"}, // another spelling of the same bytes
		{list(digest, digest[:42]+`\n`), "body_sha256"},
		{list(digest, strings.Replace(digest, "-", "+", 1)), "body_sha256"},
		{list(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), "body_sha256"}, // hex
		{list(`1800000000`, `"1800000000"`), "happened_at that is not a whole number"},
		{list(`1800000000`, `1800000000.0`), "happened_at that is not a whole number"},
		{list(`1800000000`, `18e8`), "happened_at that is not a whole number"},
		{list(`1800000000`, `null`), "happened_at that is not a whole number"},
		{list(`1800000000`, `0`), "happened_at that is not a whole number"},
		{list(`1800000000`, `-0`), "happened_at that is not a whole number"},
		{list(`1800000000`, `-1`), "happened_at that is not a whole number"},
		{list(`1800000000`, `99999999999999999999`), "happened_at that is not a whole number"},
		{list(`1800000000`, `1800000000000`), "ahead of now"}, // milliseconds
		{list(`1800000000`, strconv.FormatInt(now+61, 10)), "ahead of now"},
		{list(`1800000000`, strconv.FormatInt(now-30*24*3600-1, 10)), "more than 30 days ago"},
		{`[` + members() + `,` + members() + `]`, "Element 2 of the authorization_details has the receiver and the event_id of another"},
		{`[` + members() + `,` + members("item.sold", "item.lost") + `]`, "of another element"},
	} {
		a := b.post(token.PathToken, basic("market.spare"), askingText(b.subject("market"), c.details)...)
		if b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidAuthorizationDetails, c.words); t.Failed() {
			t.Fatalf("details %s", c.details)
		}
	}
	long := b.post(token.PathToken, basic("market.spare"), askingText(b.subject("market"), list()+strings.Repeat(" ", 16<<10))...)
	b.wantRefusal(long, http.StatusBadRequest, oauth.InvalidRequest, "longer than this server accepts")
}

// FuzzParseDetails holds that what is taken is JSON which says the same to
// encoding/json, keeps to the limits, and is taken again as it is answered; and
// that refusals keep to the characters of RFC 6749 §5.2.
func FuzzParseDetails(f *testing.F) {
	now := time.Unix(1_800_000_042, 0)
	one := `{"type":"event","receiver":"crypto","event_type":"` + sold + `","event_id":"1","body_sha256":"` + digest + `"}`
	for _, seed := range []string{
		"[" + one + "]", "[" + one + "," + strings.Replace(one, "crypto", "shop", 1) + "]", "[" + one + "," + one + "]", one, "[]", "null", "",
		`[{"type":"event","happened_at":1800000000}]`, "[" + strings.Replace(one, "}", `,"happened_at":1800000000}`, 1) + "]",
		`[{"Type":"event"}]`, `[{"type":"event","type":"event"}]`, `[{"ty\u0070e":"event","receiver":null}]`, "[" + strings.Repeat("[", 1000),
		" \t[\r\n" + strings.ReplaceAll(one, ",", " , ") + "] ", `[{"receiver":"\ud800"}]`, "[" + strings.Repeat(one+",", 60) + one + "]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := token.ParseDetails(text, now)
		if err != nil {
			var refusal *oauth.Error
			if !errors.As(err, &refusal) || refusal.Code != oauth.InvalidAuthorizationDetails ||
				strings.ContainsFunc(refusal.Description, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		var want []oauth.EventDetail
		strict := json.NewDecoder(strings.NewReader(text))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&want); err != nil || !slices.Equal(got, want) || len(got) == 0 || len(got) > 50 {
			t.Fatalf("%q is %+v, not %+v, %v", text, got, want, err)
		}
		for _, d := range got {
			sum, err := base64.RawURLEncoding.DecodeString(d.BodySHA256)
			if err != nil || len(sum) != 32 || base64.RawURLEncoding.EncodeToString(sum) != d.BodySHA256 || d.Type != "event" || d.EventID == "" || len(d.EventID) > 128 || d.IDToken != "" {
				t.Errorf("%q is %+v", text, d)
			}
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := token.ParseDetails(string(again), now); err != nil || !slices.Equal(back, got) {
			t.Errorf("%s is not taken again: %v", again, err)
		}
	})
}
