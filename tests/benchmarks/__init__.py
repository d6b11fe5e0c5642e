"""How fast it is: ratios measured beside one another in one run. Nothing here is asserted; speed is the machine's."""
