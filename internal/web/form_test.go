package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

func post(target, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

const formType = "application/x-www-form-urlencoded"

func TestParseForm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target, contentType, body string
		status                    int // 0: accepted
		words                     string
	}{
		"plain":                 {"/", formType, "a=1&b=2", 0, ""},
		"with charset":          {"/", formType + "; charset=UTF-8", "a=1", 0, ""},
		"empty":                 {"/", formType, "", 0, ""},
		"resource five times":   {"/", formType, "resource=1&resource=2&resource=3&resource=4&resource=5", 0, ""},
		"long assertion":        {"/", formType, "client_assertion=" + strings.Repeat("x", 16<<10), 0, ""},
		"64 fields":             {"/", formType, strings.TrimSuffix(distinct(64), "&"), 0, ""},
		"65 fields":             {"/", formType, strings.TrimSuffix(distinct(65), "&"), 400, "64"},
		"10,000 fields":         {"/", formType, strings.Repeat("&", 10_000), 400, "64"},
		"twice":                 {"/", formType, "grant_type=1&grant_type=2", 400, "grant_type was sent more than once"},
		"twice, once empty":     {"/", formType, "scope=&scope=x", 400, "scope"},
		"odd name twice":        {"/", formType, "%22x=1&%22x=2", 400, "A parameter was sent more than once"},
		"resource six times":    {"/", formType, strings.Repeat("resource=x&", 6), 400, "five"},
		"in the query too":      {"/?a=1", formType, "b=2", 400, "form body only"},
		"JSON":                  {"/", "application/json", `{"a":1}`, 400, "content type"},
		"multipart":             {"/", "multipart/form-data; boundary=x", "--x--", 400, "content type"},
		"no content type":       {"/", "", "a=1", 400, "content type"},
		"broken encoding":       {"/", formType, "a=%zz", 400, "form encoding"},
		"semicolon":             {"/", formType, "a=1;b=2", 400, "form encoding"},
		"not UTF-8":             {"/", formType, "a=%ff", 400, "UTF-8"},
		"NUL":                   {"/", formType, "a=%00", 400, "UTF-8"},
		"long value":            {"/", formType, "scope=" + strings.Repeat("x", 4097), 400, "longer"},
		"assertion over 16 KiB": {"/", formType, "client_assertion=" + strings.Repeat("x", 16<<10+1), 400, "longer"},
		"body too large":        {"/", formType, "a=" + strings.Repeat("x", 64<<10), 413, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := web.ParseForm(httptest.NewRecorder(), post(test.target, test.contentType, test.body), web.FormLimit)
			if test.status == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refusal *oauth.Error
			if !errors.As(err, &refusal) || refusal.HTTPStatus() != test.status || refusal.Code != oauth.InvalidRequest || !strings.Contains(refusal.Description, test.words) {
				t.Errorf("%v, want %d with %q", err, test.status, test.words)
			}
		})
	}
}

func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("x", i+1) + "=1&")
	}
	return b.String()
}

// TestEmptyIsOmitted: a parameter without a value is as if it were not there
// (RFC 6749 §3.1).
func TestEmptyIsOmitted(t *testing.T) {
	t.Parallel()
	values, err := web.ParseForm(httptest.NewRecorder(), post("/", formType, "scope=&a=1&b"), web.FormLimit)
	if err != nil || values.Has("scope") || values.Has("b") || values.Get("a") != "1" {
		t.Errorf("%v %v", values, err)
	}
}

// TestNothingHidesARepeatedParameter: one that is sent twice is refused, also
// beside some that have no name (RFC 6749 §3.1).
func TestNothingHidesARepeatedParameter(t *testing.T) {
	t.Parallel()
	for range 50 { // the order in which parameters are looked at is not fixed
		_, err := web.ParseForm(httptest.NewRecorder(), post("/", formType, "code=a&=1&code=b&=2"), web.FormLimit)
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Description, "code") {
			t.Fatalf("%v", err)
		}
	}
}

// FuzzParseForm: whatever is sent, what comes out is within the limits, or an
// error that may be shown.
func FuzzParseForm(f *testing.F) {
	f.Add("a=1&b=2")
	f.Add("resource=1&resource=2&=&%zz")
	f.Fuzz(func(t *testing.T, body string) {
		values, err := web.ParseForm(httptest.NewRecorder(), post("/", formType, body), web.FormLimit)
		if err != nil {
			var refusal *oauth.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("%v is no refusal", err)
			}
			if strings.ContainsFunc(refusal.Description, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
				t.Fatalf("description %q", refusal.Description)
			}
			return
		}
		again, err := url.ParseQuery(values.Encode())
		if err != nil || len(again) != len(values) || web.Repeated(values) != "" {
			t.Fatalf("%v: %v", values, err)
		}
	})
}
