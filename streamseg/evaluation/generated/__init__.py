"""Sound made for training and measuring, with a truth that is exact because it was decided first."""
