// Package scenes holds the tests of the whole product on real machines: what an
// administrator would do and see, told as scenes. The demo and bench programs
// beside it play the main one for a person and measure it.
package scenes
