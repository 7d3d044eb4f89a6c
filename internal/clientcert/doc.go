// Package clientcert knows the certificates that clients present in TLS (RFC 8705):
// how a proxy that ends TLS hands one on, and how a token names one. Whom to believe
// is for its users.
package clientcert
