//go:build !race

package shadowsync

// productStep: every input of the product is tried.
const productStep = 1
