package courier

import "slices"

// sealCredential seals the Authorization header of a stream's pushes, bound to
// the stream.
func (c *Courier) sealCredential(stream, header string) []byte {
	return c.box.Seal([]byte(header), credentialContext(stream))
}

// openCredential is the way back.
func (c *Courier) openCredential(stream string, sealed []byte) (header string, err error) {
	plain, err := c.box.Open(sealed, credentialContext(stream))
	return string(plain), err
}

func credentialContext(stream string) []byte {
	return slices.Concat([]byte("credential\x00"), []byte(stream))
}
