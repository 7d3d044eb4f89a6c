package main

import (
	"path/filepath"
	"testing"
)

// The text that a mutant replaces is there, once, so that none rots away.
func TestMutantsFit(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for i := range mutants {
		if _, err := mutants[i].overlay(root, t.TempDir()); err != nil {
			t.Error(err)
		}
		if rowNamed(mutants[i].row) == nil {
			t.Errorf("%s: no row %s", mutants[i].name, mutants[i].row)
		}
	}
}
