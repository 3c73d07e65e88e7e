"""Contract suites: inherit one in your tests, and your own part is held to what evomerge expects of ours."""
