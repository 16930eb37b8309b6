"""The commands as they are typed: one file each says its options and hands them to the file that does the work."""
