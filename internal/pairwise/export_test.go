package pairwise

// Open to the tests of this package.
var (
	NewGeneration = newGeneration
	AppendBlock   = appendBlock
	ParseBlock    = parseBlock
)

// PRK is the extracted key of the generation.
func (g generation) PRK() []byte { return g.prk }

// CheckValue is what the database keeps of the generation.
func (g generation) CheckValue() []byte { return g.checkValue() }

// SubjectKey is the key of a sector's subjects.
func (g generation) SubjectKey(realm, sector string) ([]byte, error) {
	return g.key(subjectLabel, realm, sector)
}
