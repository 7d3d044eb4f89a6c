package jose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/jose"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	type nested struct {
		Name string          `json:"name"`
		Raw  json.RawMessage `json:"raw"`
	}
	type value struct {
		Iss    string            `json:"iss"`
		Aud    []string          `json:"aud"`
		Nested *nested           `json:"nested"`
		Count  int64             `json:"count"`
		Rest   map[string]string `json:"rest"`
	}
	var got value
	err := jose.Decode([]byte(` {"iss":"a","ISSUER":"b","aud":["x","x"],"nested":{"name":"n","raw":{"b":[1]}},"count":7,"rest":{"iss":"y"}} `), &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Iss != "a" || len(got.Aud) != 2 || got.Nested.Name != "n" || string(got.Nested.Raw) != `{"b":[1]}` || got.Count != 7 || got.Rest["iss"] != "y" {
		t.Errorf("got %+v", got)
	}
	got = value{}
	if err := jose.Decode([]byte(`{"ISS":"a"}`), &got); err != nil || got.Iss != "" {
		t.Errorf("a name in another case was taken: %+v, %v", got, err)
	}

	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	if err := jose.Decode([]byte(deep(16)), &struct{}{}); err != nil {
		t.Errorf("16 deep: %v", err)
	}
	for name, text := range map[string]string{
		"empty":                  "",
		"white space":            "  ",
		"null":                   "null",
		"a string":               `"iss"`,
		"a list":                 `[{"iss":"a"}]`,
		"open":                   `{"iss":"a"`,
		"rest":                   `{"iss":"a"} x`,
		"second object":          `{"iss":"a"}{}`,
		"twice":                  `{"iss":"a","iss":"a"}`,
		"twice, escaped":         `{"iss":"a","\u0069ss":"b"}`,
		"in two cases":           `{"iss":"a","Iss":"b"}`,
		"in two cases of three":  `{"iss":"a","iſs":"b"}`,
		"unknown twice":          `{"x":1,"y":2,"x":1}`,
		"nested twice":           `{"nested":{"name":"a","name":"b"}}`,
		"in a list":              `{"x":[{"y":1,"y":1}]}`,
		"after a list":           `{"x":[1,2],"x":1}`,
		"17 deep":                deep(17),
		"deep lists":             `{"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`,
		"wrong type":             `{"iss":1}`,
		"fraction for a number":  `{"count":1.5}`,
		"more than a number has": `{"count":9223372036854775808}`,
	} {
		if err := jose.Decode([]byte(text), &value{}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
