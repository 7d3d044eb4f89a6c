package subjects

import (
	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// appendAnswer writes the answer and counts whom it names. A subject has letters
// and digits only, so nothing in it needs escaping.
func (d *Door) appendAnswer(to registry.Sector, people []account.Ref) (answer []byte, converted int) {
	const around = `{"subjects":[]}`
	const between = `"",`
	answer = make([]byte, 0, len(around)+len(people)*(pairwise.SubjectSize+len(between)))
	answer = append(answer, `{"subjects":[`...)
	for i, who := range people {
		if i > 0 {
			answer = append(answer, ',')
		}
		if who.Nobody() {
			answer = append(answer, "null"...)
			continue
		}
		answer = append(answer, '"')
		answer = d.Pairwise.AppendSubject(answer, to, who)
		answer = append(answer, '"')
		converted++
	}
	return append(answer, "]}"...), converted
}
