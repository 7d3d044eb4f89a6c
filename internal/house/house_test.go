package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sekisho-id/sekisho"

// sourceFile is one Go file of ours that is shipped, so no test.
type sourceFile struct {
	pkg     string // import path below the module, "." for the root
	path    string
	imports []string // of our own packages, below the module
	strings []string // the values of all string literals
}

// readSource parses every shipped Go file of the repository.
func readSource(t *testing.T) []sourceFile {
	t.Helper()
	root := repositoryRoot(t)
	var files []sourceFile
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules" || entry.Name() == "tools"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parseSource(root, path)
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parseSource(root, path string) (sourceFile, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return sourceFile{}, err
	}
	relative, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return sourceFile{}, err
	}
	file := sourceFile{pkg: filepath.ToSlash(relative), path: path}
	ast.Inspect(parsed, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		if value, err := strconv.Unquote(literal.Value); err == nil {
			file.strings = append(file.strings, value)
		}
		return true
	})
	for _, spec := range parsed.Imports {
		if name, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module+"/"); ours {
			file.imports = append(file.imports, name)
		}
	}
	return file, nil
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			t.Fatal("no go.mod above the test")
		}
		directory = parent
	}
}
