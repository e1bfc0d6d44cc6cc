"""Who uses a model outside: exported files, and what runs on them."""
