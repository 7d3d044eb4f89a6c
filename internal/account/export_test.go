package account

// Open to the tests of this package.
var (
	NormaliseEmail = normaliseEmail
	AddGone        = addGone
)
