"""Reports: a run's fronts, figures and tables, and a look at models, on the terminal and as one page each."""
