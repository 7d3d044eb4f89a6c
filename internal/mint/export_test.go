package mint

// What the tests of this package look into.
var (
	AppendClaims      = appendClaims
	AppendEventClaims = appendEventClaims
	ClaimsSize        = claimsSize
)

// Seal and Open are the two ways of a jti.
func (m *Mint) Seal(ref Reference) string          { return m.seal(ref) }
func (m *Mint) Open(jti string) (Reference, bool)  { return m.open(jti) }
func (m *Mint) SealOpaque(claims []byte) string    { return m.sealOpaque(claims) }
func (m *Mint) OpenOpaque(t string) ([]byte, bool) { return m.openOpaque(t) }
