package registry

import (
	"encoding/json"
	"strings"
)

// ChangeKind says what a change does to the one it is about.
type ChangeKind string

// The kinds of change.
const (
	Gain  ChangeKind = "gain"
	Loss  ChangeKind = "loss"
	Other ChangeKind = "change"
)

// Change is one difference between two groups, in words.
type Change struct {
	Kind     ChangeKind `json:"kind"`
	About    string     `json:"about"`    // subsystem, client id, resource or edge
	Sentence string     `json:"sentence"` // what changes, and what follows from it
}

// Plan is what applying a group would do, in the order in which a person wants
// to read it: the group, then subsystem by subsystem, then the calls.
type Plan struct {
	Changes []Change `json:"changes"`

	removedClients []string
}

// Empty reports whether applying would change nothing.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }

// RemovedClients lists the ids of the clients that are no more.
func (p Plan) RemovedClients() []string { return p.removedClients }

// String is one line for each change: + gains, - loses, ~ changes.
func (p Plan) String() string {
	if p.Empty() {
		return "No changes.\n"
	}
	var b strings.Builder
	for _, change := range p.Changes {
		switch change.Kind {
		case Gain:
			b.WriteString("+ ")
		case Loss:
			b.WriteString("- ")
		default:
			b.WriteString("~ ")
		}
		b.WriteString(change.Sentence + "\n")
	}
	return b.String()
}

// maxAudited is how much of a plan stands in the audit record; the whole
// document is in registry_revision.
const maxAudited = 2048

// detail is the plan for the audit record.
func (p Plan) detail() map[string]any {
	detail := map[string]any{}
	counts, size := map[ChangeKind]int{}, 0
	var sentences []string
	for _, change := range p.Changes {
		counts[change.Kind]++
		sentence := string(change.Kind) + ": " + change.Sentence
		if size += writtenSize(sentence); size <= maxAudited {
			sentences = append(sentences, sentence)
		}
	}
	for kind, n := range counts {
		detail[string(kind)] = n
	}
	detail["changes"] = sentences
	detail["untold"] = len(p.Changes) - len(sentences)
	return detail
}

// writtenSize is how long a text is as JSON, where some characters take six
// bytes.
func writtenSize(text string) int {
	written, err := json.Marshal(text)
	if err != nil {
		return maxAudited + 1 // no text does that
	}
	return len(written)
}
