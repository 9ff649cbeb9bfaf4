"""Problems that bring everything along: passed on to the scheduler, and made jobs when they take long."""
