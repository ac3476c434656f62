"""The page of models: what they say, and what is done with them."""
