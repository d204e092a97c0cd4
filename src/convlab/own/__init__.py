"""Your own images: `convlab import` makes a data set of them."""
