"""One's own images: `convlab import` makes a data set of them."""
