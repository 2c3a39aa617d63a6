//go:build race

package shadowsync

// productStep: one of so many inputs of the whole product is tried. Merge is a pure function, so
// the race detector finds no more in all of them, which would take six minutes.
const productStep = 97
