package rs

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzTag holds that a tag is taken if and only if it is user with the options
// there are.
func FuzzTag(f *testing.F) {
	for _, seed := range []string{"user", "user,required", "user,keys,required", "user,", "user,,", "-", "", "User", "user, required", "user;keys", "\x00", "account"} {
		f.Add(seed, true)
	}
	f.Add("user", false)
	syntax := regexp.MustCompile(`\Auser(,(required|keys)?)*\z`)
	f.Fuzz(func(t *testing.T, text string, exported bool) {
		field := reflect.StructField{Name: "Field", Tag: reflect.StructTag("json:\"x\" ppid:" + strconv.Quote(text))}
		if !exported {
			field.Name, field.PkgPath = "field", "example.test"
		}
		kept, ok := field.Tag.Lookup("ppid")
		got, err := parseTag(field)
		switch {
		case !ok || kept == "-":
			if err != nil || got.user {
				t.Errorf("%q: %+v, %v", text, got, err)
			}
		case (err == nil) != (exported && syntax.MatchString(kept)) || err == nil != got.user:
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	})
}

// walked is a value with every place an identifier can stand in.
type walked struct {
	User    string            `ppid:"user"`
	Plain   string            // stays as it is
	Pointer *string           `ppid:"user"`
	List    []string          `ppid:"user"`
	Lists   map[int][]string  `ppid:"user"`
	Named   map[string]string `ppid:"user"`
	Keyed   map[string]int    `ppid:"user,keys"`
	Inner   *walked
	Many    []walked
	ByName  map[string]walked
	Any     any
}

// turned is w with every identifier changed, in the plainest way there is.
func (w walked) turned(change func(string) string) walked {
	w.User = change(w.User)
	if w.Pointer != nil {
		text := change(*w.Pointer)
		w.Pointer = &text
	}
	w.List = each(w.List, change)
	if lists := w.Lists; lists != nil {
		w.Lists = map[int][]string{}
		for name, list := range lists {
			w.Lists[name] = each(list, change)
		}
	}
	if named := w.Named; named != nil {
		w.Named = map[string]string{}
		for name, text := range named {
			w.Named[name] = change(text)
		}
	}
	if keyed := w.Keyed; keyed != nil {
		w.Keyed = map[string]int{}
		for name, n := range keyed {
			if name != "" { // nobody: the entry goes
				w.Keyed[change(name)] = n
			}
		}
	}
	if w.Inner != nil {
		inner := w.Inner.turned(change)
		w.Inner = &inner
	}
	w.Many = each(w.Many, func(one walked) walked { return one.turned(change) })
	if held := w.ByName; held != nil {
		w.ByName = map[string]walked{}
		for name, one := range held {
			w.ByName[name] = one.turned(change)
		}
	}
	return w
}

func each[T any](list []T, change func(T) T) []T {
	if list == nil {
		return nil
	}
	changed := make([]T, len(list))
	for i := range list {
		changed[i] = change(list[i])
	}
	return changed
}

// FuzzTurn holds that the walk through a value changes each identifier once and
// nothing else.
func FuzzTurn(f *testing.F) {
	f.Add([]byte(`{"User":"a","Plain":"a","Pointer":"b","List":["a","","c"],"Lists":{"1":["x",""],"2":null},"Named":{"k":"v"},"Keyed":{"a":1,"b":2,"":3}}`))
	f.Add([]byte(`{"Inner":{"Inner":{"User":"x"},"Many":[{"User":"y"},{}]},"ByName":{"n":{"User":"z","ByName":{"m":{"Pointer":"p"}}}},"Any":{"User":"a"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, same walked
		if json.Unmarshal(data, &got) != nil || json.Unmarshal(data, &same) != nil {
			return
		}
		change := func(id string) string {
			if id == "" {
				return ""
			}
			return "<" + id + ">"
		}
		want := same.turned(change)
		convert := func(_ context.Context, ids []string) ([]string, error) { return each(ids, change), nil }
		if err := (&Mapping{}).turn(t.Context(), &got, direction{convert: convert, strict: true}); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if difference := cmp.Diff(want, got); difference != "" {
			t.Errorf("%s:\n%s", data, difference)
		}
	})
}
