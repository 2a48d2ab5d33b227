"""outlast beside what a user would pick instead: one question a file in questions/, asked by ``make bench``."""
