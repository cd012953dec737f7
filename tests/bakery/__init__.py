"""A bakery: the models that the tests' triggers listen to."""
