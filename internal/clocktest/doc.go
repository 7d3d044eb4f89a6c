// Package clocktest is a clock for tests: it stands still until it is moved.
package clocktest
