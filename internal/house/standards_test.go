package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cited is a test as docs/standards.md names it: package and function.
var cited = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")

// TestStandardsNameTestsThatExist keeps the table of demands from rotting: each
// row of it names a test, and each test it names is there.
func TestStandardsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	root := repositoryRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "standards.md"))
	if err != nil {
		t.Fatal(err)
	}
	existing := readTests(t, root)
	rows, demands := 0, false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "## "):
			demands = strings.HasPrefix(line, "## Certification") || strings.HasPrefix(line, "## Refusals")
		case !demands || !strings.HasPrefix(line, "| ") || strings.HasSuffix(line, "| test |\n"):
		default:
			rows++
			names := cited.FindAllStringSubmatch(line, -1)
			if len(names) == 0 {
				t.Errorf("a demand without a test: %s", line)
			}
			for _, name := range names {
				if !existing[name[1]+"."+name[2]] {
					t.Errorf("there is no %s.%s", name[1], name[2])
				}
			}
		}
	}
	if rows < 120 {
		t.Errorf("%d demands were found: the table is not read right", rows)
	}
}

// readTests lists the tests of the repository as package.function.
func readTests(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		directory, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
				tests[filepath.ToSlash(directory)+"."+function.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
