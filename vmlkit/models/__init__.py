"""One paper, one file: models and the losses that train them."""
