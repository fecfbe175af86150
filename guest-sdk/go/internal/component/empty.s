// A package with functions that are defined elsewhere needs a file of assembly, if only an empty one.
