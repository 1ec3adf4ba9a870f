"""`berth`: the command line tool of people who run a lab, and the chart's Jobs."""
