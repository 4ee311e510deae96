"""What the recipes for sound share: clips, front ends, networks, training loops."""
