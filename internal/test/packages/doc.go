// Package packages tests the packages that "make packages" builds of the commit that is checked out: what is
// in them, and what installing, upgrading and removing them does to a machine.
//
// The packages are built once for all of these tests. What is not committed is not in them.
package packages
