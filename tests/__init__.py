"""The tests: packages all the way down, so that two folders of one name do not meet."""
