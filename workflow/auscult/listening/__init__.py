"""The listening page: the sounds of cases that are worth hearing, beside what the networks made of them."""
