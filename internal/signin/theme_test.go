package signin_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestThemes: pages have the colours of the subsystem that a person signs in to, else
// those of the group, else the usual ones, and change with the group file.
func TestThemes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	sheet := func(a answer) string {
		_, after, found := strings.Cut(a.body, `href="/theme/`)
		if !found {
			return ""
		}
		name, _, _ := strings.Cut(after, `"`)
		return name
	}
	if got := sheet(w.authorize()); got != "" {
		t.Errorf("without a theme: %q", got)
	}
	const group = "name: { en: Test Group, ja: テストグループ }"
	themed := []string{
		group, group + "\ntheme: { accent: \"#8c2f39\", accent_dark: \"#f2a3ab\" }",
		"    name: { en: Blog, ja: ブログ }", "    name: { en: Blog, ja: ブログ }\n    theme: { accent: \"#1d6b4f\", accent_dark: \"#7fd1b0\" }",
	}
	if err := b.regroup(t.Context(), themed...); err != nil {
		t.Fatal(err)
	}
	if got := sheet(w.authorize()); got != "8c2f39-f2a3ab.css" {
		t.Errorf("of the group: %q", got)
	}
	if got := sheet(w.authorize(asBlog...)); got != "1d6b4f-7fd1b0.css" {
		t.Errorf("of the subsystem: %q", got)
	}
	css := w.get("/theme/1d6b4f-7fd1b0.css")
	if css.status != http.StatusOK || !strings.Contains(css.body, "--accent: #1d6b4f") || !strings.Contains(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("the sheet: %d %v %s", css.status, css.header, css.body)
	}
	for _, name := range []string{"x.css", "1d6b4f-7fd1b0", "1d6b4f-7fd1b0.css.map", "1D6B4F-7fd1b0.css", "1d6b4f;}-7fd1b0.css"} {
		if got := w.get("/theme/" + name); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", name, got.status)
		}
	}
}
