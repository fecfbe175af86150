//go:build !wasip1

// Package component makes the program a workflow component, where it is built as one.
package component
