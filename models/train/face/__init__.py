"""What the recipe of speech2face is made of: portraits, their decoder, voices, a judge."""
