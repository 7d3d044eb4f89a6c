package web

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	keyInTemplate = regexp.MustCompile(`\bt "([^"]+)"`)
	keyInGo       = regexp.MustCompile(`\bSay\("([^"]+)"`)
	placeholder   = regexp.MustCompile(`%(?:\[\d+\])?[a-z]`)
)

// TestCatalogs: each key that a template or a door uses has a text in every
// language, no text is unused, and all say the same with the same arguments.
func TestCatalogs(t *testing.T) {
	t.Parallel()
	used := usedKeys(t)
	catalogs, err := loadCatalogs()
	if err != nil {
		t.Fatal(err)
	}
	english := catalogs["en"]
	for _, lang := range Languages {
		texts := catalogs[lang]
		for key, where := range used {
			if texts[key] == "" {
				t.Errorf("%s has no text for %s, which %s uses", lang, key, where)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			if used[key] == "" {
				t.Errorf("%s has a text for %s, which nothing uses", lang, key)
			}
			if want, got := placeholders(english[key]), placeholders(texts[key]); !slices.Equal(want, got) {
				t.Errorf("%s: %s has the arguments %v, in English %v", lang, key, got, want)
			}
		}
	}
}

func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return found
}

// usedKeys are the keys in all templates and in the Go files of the doors.
func usedKeys(t *testing.T) map[string]string {
	t.Helper()
	used := map[string]string{}
	collect := func(path string, form *regexp.Regexp) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range form.FindAllStringSubmatch(string(data), -1) {
			used[match[1]] = path
		}
	}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		switch {
		case strings.HasSuffix(path, ".html"):
			collect(path, keyInTemplate)
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			collect(path, keyInGo)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(used) < 40 {
		t.Fatalf("only %d keys found: the test looks in the wrong place", len(used))
	}
	return used
}

// TestEveryTemplateIsAPage: a file that no page uses would be dead, and a page
// without a file does not start.
func TestEveryTemplateIsAPage(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".html")
		if name != "layout" && !slices.Contains(pageNames, name) {
			t.Errorf("%s is no page", file)
		}
	}
}
