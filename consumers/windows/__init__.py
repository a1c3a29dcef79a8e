"""What is remembered of each partition: state, blocks, snapshots, restore and minute bars."""
