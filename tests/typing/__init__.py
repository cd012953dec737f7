"""Never executed: what a type checker must make of code that uses the package."""
