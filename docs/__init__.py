"""The documentation: pages, and the handbook that makes further ones from the program."""
