"""Sound in which nothing changes, for as long as one likes."""
