//go:build !pkcs11

package secret

import "errors"

// openPKCS11 needs cgo, which the program is built without by default.
func openPKCS11(string) (KEK, error) {
	return nil, errors.New("this sekisho was built without PKCS#11; build it with CGO_ENABLED=1 and -tags pkcs11 to use a pkcs11: key-encryption key")
}
