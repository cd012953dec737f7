"""What the command ``demo`` needs beyond the shop: goods, an API, a website, a terminal.

None of it is needed to run the shop, so none of it is an example of how to build one.
"""
