package rar_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/rar"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, words := range map[string]string{
		``:                                    "not a JSON list",
		`{}`:                                  "not a JSON list",
		`[]`:                                  "no element",
		`[1]`:                                 "element 1 is not an object",
		`[{"type":"a"},{}]`:                   "element 2 has no type",
		`[{"type":1}]`:                        "element 1 has no type",
		`[{"type":""}]`:                       "element 1 has no type",
		`[{"type":"a","type":"b"}]`:           "a member twice",
		`[{"type":"a","x":{"y":1,"y":1}}]`:    "a member twice",
		`[{"type":"a","locations":"x"}]`:      "locations",
		`[{"type":"a","locations":[]}]`:       "locations",
		`[{"type":"a","locations":[1]}]`:      "locations",
		`[{"type":"a","x":1e9}]`:              "exponent",
		`[{"type":"a","x":[[[[[[[1]]]]]]]}]`:  "deeper",
		`[{"type":"a"}`:                       "not JSON",
		`[{"type":"a"}] []`:                   "not JSON",
		`[{"type":"a"},]`:                     "not JSON",
		"[" + strings.Repeat(" ", 5000) + "]": "bytes",
		`[` + strings.Repeat(`{"type":"a"},`, 10) + `{"type":"a"}]`: "more than 10",
	} {
		if _, err := rar.Parse(text); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.60s: %v, want %s", text, err, words)
		}
	}
}

// parse reads one detail.
func parse(t testing.TB, text string) rar.Detail {
	t.Helper()
	details, err := rar.Parse("[" + text + "]")
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return details[0]
}

func TestWithin(t *testing.T) {
	t.Parallel()
	narrow := map[string]rar.Narrowing{"amount": rar.AtMost, "sum.value": rar.AtMost, "shops": rar.Subset}
	for _, c := range []struct {
		name, held, asked string
		want              bool
	}{
		{"the same", `"amount":10,"x":"y"`, `"x":"y","amount":10`, true},
		{"the same, written otherwise", `"n":1`, `"n":1.0`, true},
		{"less", `"amount":10`, `"amount":9.99`, true},
		{"less, as a text", `"sum":{"value":"10.00","currency":"JPY"}`, `"sum":{"value":"9.5","currency":"JPY"}`, true},
		{"more", `"amount":10`, `"amount":10.01`, false},
		{"below zero", `"amount":10`, `"amount":-1`, false},
		{"a text for a number", `"amount":10`, `"amount":"9"`, false},
		{"no number", `"amount":"ten"`, `"amount":"nine"`, false},
		{"less where nothing says that it is less", `"limit":10`, `"limit":9`, false},
		{"another currency", `"sum":{"value":"10","currency":"JPY"}`, `"sum":{"value":"1","currency":"EUR"}`, false},
		{"without a member", `"amount":10,"until":"2026"`, `"amount":10`, false},
		{"with a member more", `"amount":10`, `"amount":10,"until":"2026"`, false},
		{"fewer of a list", `"shops":["a","b"]`, `"shops":["b"]`, true},
		{"none of a list", `"shops":["a","b"]`, `"shops":[]`, false},
		{"others", `"shops":["a","b"]`, `"shops":["a","c"]`, false},
		{"fewer of a list of another meaning", `"except":["a","b"]`, `"except":["a"]`, false},
		{"fewer actions", `"actions":["read","write"]`, `"actions":["read"]`, true},
		{"one location of several", `"locations":["https://a","https://b"]`, `"locations":["https://a"]`, true},
		{"one location of all", `"amount":1`, `"amount":1,"locations":["https://a"]`, true},
		{"all locations", `"amount":1,"locations":["https://a"]`, `"amount":1`, false},
		{"null", `"x":null`, `"x":null`, true},
		{"an object for a text", `"x":"y"`, `"x":{}`, false},
		{"a list for a text", `"x":"y"`, `"x":["y"]`, false},
		{"the same list of objects", `"x":[{"a":1}]`, `"x":[{"a":1.0}]`, true},
	} {
		held, asked := parse(t, `{"type":"t",`+c.held+`}`), parse(t, `{"type":"t",`+c.asked+`}`)
		if got := asked.Within(held, narrow); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	if parse(t, `{"type":"a"}`).Within(parse(t, `{"type":"b"}`), nil) {
		t.Error("another type is less")
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	schema, err := rar.Compile([]byte(`{
		"required": ["sum"],
		"properties": {
			"sum": {"type": "object", "required": ["value"], "properties": {"value": {"type": "string", "pattern": "^[0-9]+$"}}},
			"day": {"type": "string", "format": "date"}
		}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, words := range map[string]string{
		`"sum":{"value":"10"},"day":"2026-01-01"`: "",
		`"sum":{"value":"10"},"locations":["x"]`:  "",
		`"sum":{"value":10}`:                      "sum.value: got number, want string",
		`"sum":{"value":"ten"}`:                   "sum.value: 'ten' does not match pattern",
		`"sum":{}`:                                "sum: missing property 'value'",
		`"sum":{"value":"1","cents":5}`:           "sum: additional properties 'cents' not allowed",
		`"sum":{"value":"1"},"to":"me"`:           "additional properties 'to' not allowed",
		`"day":"2026-01-01"`:                      "missing property 'sum'",
		`"sum":{"value":"1"},"day":"tomorrow"`:    "day: 'tomorrow' is not valid date",
	} {
		err := schema.Check(parse(t, `{"type":"t",`+text+`}`))
		if words == "" && err != nil || words != "" && (err == nil || !strings.HasPrefix(err.Error(), words)) {
			t.Errorf("%s: %v, want %q", text, err, words)
		}
	}
	for path, want := range map[string]bool{"sum": true, "sum.value": true, "day": true, "to": false, "sum.cents": false, "day.hour": false} {
		if schema.MayHave(path) != want {
			t.Errorf("MayHave(%s) is %t", path, !want)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	d := parse(t, `{"type":"t","locations":["x"],"b":true,"a":[1,"two"],"sum":{"value":12.5,"currency":"JPY"},"items":[{"n":1},{"n":2}],"no":null,"none":[]}`)
	want := []rar.Member{
		{"sum.currency", "JPY"},
		{"b", true},
		{"a", "1, two"},
		{"items.1.n", "1"},
		{"items.2.n", "2"},
		{"no", ""},
		{"none", ""},
		{"sum.value", "12.5"},
	}
	if diff := cmp.Diff(want, d.Members([]string{"sum.currency", "nothing", "b"})); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse holds that what is taken says the same to encoding/json, is written as it
// was read, asks for no more than itself, and is shown whole.
func FuzzParse(f *testing.F) {
	f.Add(`[{"type":"payment","amount":12.50,"to":{"iban":"x"},"list":["a",1,{"b":null}],"yes":true}]`)
	f.Add(`[{"type":"a","locations":["https://x"]},{"type":"\u00e9\ud800"}]`)
	f.Add(`[{"type":"a","type":"b"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		details, err := rar.Parse(text)
		if err != nil {
			return
		}
		var theirs, ours any
		if err := json.Unmarshal([]byte(text), &theirs); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", text, err)
		}
		written := details.JSON()
		if err := json.Unmarshal(written, &ours); err != nil || !reflect.DeepEqual(theirs, ours) {
			t.Fatalf("%q became %q (%v)", text, written, err)
		}
		again, err := rar.Parse(string(written))
		if err != nil {
			t.Fatalf("%q is not read again: %v", written, err)
		}
		for i, d := range details {
			if !d.Equal(again[i]) || !d.Within(d, nil) {
				t.Errorf("%q is not within itself", text)
			}
			for _, member := range d.Members(nil) {
				switch member.Value.(type) {
				case string, bool:
				default:
					t.Errorf("%q shows %+v", text, member)
				}
			}
		}
	})
}
