package subjects

import (
	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// between is what a list has for each subject beside it.
const between = `"",`

// appendAnswer writes the answer and counts whom it names. A subject has letters
// and digits only, so nothing in it needs escaping.
func (d *Door) appendAnswer(to registry.Sector, people []account.Ref) (answer []byte, converted int) {
	const around = `{"subjects":[]}`
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

// appendReissued writes appendAnswer with a second list behind it: what the sector
// knew each person by before it was re-keyed, null where that is not taken any more
// or has not changed.
func (d *Door) appendReissued(sector registry.Sector, people []account.Ref) (answer []byte, reissued int) {
	answer, reissued = d.appendAnswer(sector, people)
	answer = append(answer[:len(answer)-1], `,"former":[`...)
	for i, who := range people {
		if i > 0 {
			answer = append(answer, ',')
		}
		if former, ok := d.Pairwise.FormerSubject(sector, who); ok && !who.Nobody() {
			answer = append(answer, '"')
			answer = append(answer, former...)
			answer = append(answer, '"')
		} else {
			answer = append(answer, "null"...)
		}
	}
	return append(answer, "]}"...), reissued
}
