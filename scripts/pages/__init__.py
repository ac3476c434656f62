"""The pages of the documentation's site: gathered, with those of the API made from the code."""
