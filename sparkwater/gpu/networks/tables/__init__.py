"""Networks for rows of tables: numbers, and ids of categories, in one tensor a row."""
