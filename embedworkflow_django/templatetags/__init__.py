"""What Django looks through for ``{% load %}``."""
