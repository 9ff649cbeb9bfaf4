"""Assets: sites, batteries, chargers, market zones, and the trees they form."""
