// Package scenes tests the whole product on real machines. Each test is a scene: it does what an
// administrator would do, and checks what the administrator would see. The program demo shows the
// main scene to a person, and the program bench measures it.
package scenes
