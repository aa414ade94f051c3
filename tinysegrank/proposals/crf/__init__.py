"""A Potts CRF over superpixels: unary costs from a trained classifier, and alpha-expansion by maximum flow."""
