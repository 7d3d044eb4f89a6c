package registry

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong in a group file.
type Fault struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1; 0 where the group did not come from a file
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path"`              // as in subsystems.market.clients.web
	What    string `json:"what"`              // what is wrong, and why it is
	Hint    string `json:"hint,omitempty"`    // what to write instead
	Excerpt string `json:"excerpt,omitempty"` // the line, with a caret below the place
}

// String is the fault on one to three lines.
func (f Fault) String() string {
	var b strings.Builder
	switch {
	case f.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	case f.File != "":
		b.WriteString(f.File + ": ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.What)
	if f.Hint != "" {
		b.WriteString("\n  " + f.Hint)
	}
	if f.Excerpt != "" {
		b.WriteString("\n" + f.Excerpt)
	}
	return b.String()
}

// Faults is everything wrong in a group file, in the order of the file.
type Faults []Fault

// Error lists all faults.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}
